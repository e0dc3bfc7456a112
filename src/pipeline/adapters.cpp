#include "pipeline/adapters.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "adapters/adapter_change.h"
#include "flux2/error.h"
#include "hub/digest.h"
#include "pipeline/check.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostAdapters = 64;
constexpr double kMostWeight = 1e4;

// The changes of one part as they are gathered over the adapters.
struct Gathered {
  std::string key;
  AdapterTerms terms;

  PartChange finish() && {
    PartChange result;
    result.key = std::move(key);
    for (const auto& [name, unused] : terms)
      result.names.insert(name);
    if (!terms.empty()) result.change = std::make_shared<AdapterChange>(std::move(terms));
    return result;
  }
};

void gather(Gathered& into, const AdapterTerms& terms, const AdapterReport& report,
            const Adapter& adapter) {
  if (terms.empty() || report.weight == 0) return;
  into.key += fmt::format("{} {} {} {};", report.sha256, report.weight,
                          static_cast<int>(adapter.adaln_order), adapter.lenient);
  for (const auto& [name, of_weight] : terms) {
    for (AdapterTerm term : of_weight) {
      term.weight = report.weight;
      into.terms[name].push_back(std::move(term));
    }
  }
}

MatchOptions options_of(const Adapter& adapter) {
  return {.leniency = adapter.lenient ? Leniency::lenient : Leniency::strict,
          .adaln_rows = adapter.adaln_order == AdaLnOrder::reference ? AdaLnRows::reference
                                                                     : AdaLnRows::correct};
}

}  // namespace

void check_adapters(const std::vector<Adapter>& adapters, double scale) {
  const auto check_weight = [](const char* what, double weight) {
    if (std::isfinite(weight) && std::abs(weight) <= kMostWeight) return;
    refuse(what, fmt::format("must be -{} to {}, not {}", kMostWeight, kMostWeight, weight));
  };
  if (adapters.size() > kMostAdapters) {
    refuse("adapters", fmt::format("{} adapters are too many", adapters.size()),
           fmt::format("at most {}", kMostAdapters));
  }
  check_weight("adapter_scale", scale);
  for (const Adapter& adapter : adapters) {
    if (adapter.path.empty()) refuse("adapters", "an adapter has no path");
    check_weight("adapters", adapter.weight);
  }
}

std::string verified_digest(const Adapter& adapter, const fs::path& file,
                            const std::stop_token& stop) {
  std::string digest = digest_of(file, DigestKind::sha256, stop);
  if (digest.empty()) throw Error(ErrorCode::cancelled, "cancelled");
  if (!adapter.sha256.empty() && adapter.sha256 != digest) {
    throw Error(ErrorCode::bad_file,
                fmt::format("this adapter has changed: its SHA-256 is {} and not {}", digest,
                            adapter.sha256),
                file.string(), "restore the file, or give the adapter by hand");
  }
  return digest;
}

const std::vector<ModuleIndex>& AdapterShelf::parts() {
  if (!parts_.empty()) return parts_;
  parts_.emplace_back(PartKind::transformer, model_.weights_of("transformer").tensors());
  const bool encodes =
      model_.made != nullptr || model_.places.parts.contains(PartKind::text_encoder);
  if (encodes) {
    parts_.emplace_back(PartKind::text_encoder, model_.weights_of("text_encoder").tensors());
  }
  return parts_;
}

const AdapterShelf::Opened& AdapterShelf::open(const Adapter& adapter,
                                               const std::stop_token& stop) {
  const fs::path file = fs::absolute(find_adapter(adapter.path)).lexically_normal();
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(file, error);
  const std::uintmax_t bytes = error ? 0 : fs::file_size(file, error);
  const auto known = opened_.find(file);
  if (!error && known != opened_.end() && known->second.time == time &&
      known->second.bytes == bytes &&
      (adapter.sha256.empty() || adapter.sha256 == known->second.sha256)) {
    return known->second;
  }
  Opened opened{time, bytes, {}, read_adapter(file)};
  opened.sha256 = verified_digest(adapter, file, stop);
  return opened_.insert_or_assign(file, std::move(opened)).first->second;
}

CallAdapters AdapterShelf::prepare(const std::vector<Adapter>& adapters, double scale,
                                   const std::stop_token& stop) {
  CallAdapters result;
  Gathered transformer;
  Gathered text_encoder;
  for (const Adapter& adapter : adapters) {
    const Opened& opened = open(adapter, stop);
    MatchedAdapter matched = match_adapter(opened.file, parts(), options_of(adapter));
    const AdapterReport& report = result.reports.emplace_back(
        AdapterReport{.name = fs::path(opened.file.file).stem().string(),
                      .file = opened.file.file,
                      .sha256 = opened.sha256,
                      .kind = std::move(matched.kind),
                      .weight = adapter.weight * scale,
                      .matched = matched.matched,
                      .modules = matched.modules,
                      .left_out = std::move(matched.left_out)});
    gather(transformer, matched.terms[PartKind::transformer], report, adapter);
    gather(text_encoder, matched.terms[PartKind::text_encoder], report, adapter);
  }
  result.transformer = std::move(transformer).finish();
  result.text_encoder = std::move(text_encoder).finish();
  return result;
}

}  // namespace flux2
