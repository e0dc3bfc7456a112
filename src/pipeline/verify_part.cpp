#include "pipeline/verify_part.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "checkpoint/in_quotes.h"
#include "checkpoint/number_statistics.h"
#include "flux2/error.h"
#include "pipeline/backend.h"
#include "pipeline/model_folder.h"
#include "pipeline/part_table.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// "3 tensors are missing: "a", "b", ..."
std::string listing(std::size_t count, std::string_view what, std::vector<std::string> names) {
  constexpr std::size_t kListed = 3;
  if (names.size() > kListed) names.resize(kListed);
  for (std::string& name : names)
    name = in_quotes(name);
  return fmt::format("{} {} {}: {}{}", count, count == 1 ? "tensor is" : "tensors are", what,
                     fmt::join(names, ", "), count > kListed ? ", ..." : "");
}

std::vector<std::int64_t> dimensions(const Shape& shape) {
  std::vector<std::int64_t> sizes;
  for (int axis = 0; axis < shape.rank(); ++axis)
    sizes.push_back(shape[axis]);
  return sizes;
}

// Why a checkpoint was taken for what it is: a tensor that only this family of names has.
std::string reason_of(const Checkpoint& weights, const ModelPart& part) {
  std::string sign;
  for (const auto& [name, tensor] : weights.tensors()) {
    if (!tensor.name.starts_with(weights.prefix())) continue;
    const std::string_view bare = std::string_view(tensor.name).substr(weights.prefix().size());
    const auto& signs = weights.naming()->signs;
    if (std::any_of(signs.begin(), signs.end(), [&](std::string_view pattern) {
          return !pattern.empty() && match_name(pattern, bare);
        })) {
      sign = tensor.name;
      break;
    }
  }
  return fmt::format("it has {}, which is {}; its sizes are those of {}", in_quotes(sign),
                     part.names, part.sizes_from == "shapes" ? "its tensors" : part.sizes_from);
}

class PartVerifier {
 public:
  PartVerifier(const PlacedPart& place, const Ops& ops, const VerifyOptions& options,
               std::vector<VerifyProblem>& problems)
      : place_(place),
        options_(options),
        problems_(problems),
        weights_(Checkpoint::open(place.path, place.kind)) {
    result_.part = describe_part(place.path, place.kind, ops);
    result_.because = reason_of(weights_, result_.part);
    total_ = static_cast<std::int64_t>(weights_.bytes());
  }

  void compare_with(const std::map<PartKind, fs::path>& parents) {
    if (options_.against.empty()) return;
    const auto parent = parents.find(place_.kind);
    if (parent != parents.end()) {
      parent_ = Checkpoint::open(parent->second, place_.kind);
    } else {
      add_problem(
          fmt::format("{} has no {} to compare with", options_.against, name_of(place_.kind)));
    }
  }

  VerifiedPart run() && {
    check_table();
    for (const auto& [name, tensor] : weights_.tensors())
      add_tensor(name, tensor);
    for (const auto& [name, tensor] : weights_.companions())
      add_companion(tensor);
    check_parent_is_covered();
    return std::move(result_);
  }

 private:
  void add_problem(std::string what) {
    problems_.push_back({place_.path.string(), std::move(what)});
  }

  void check_table() {
    try {
      const PartTable declared(place_.kind, config_of_part(place_.path, place_.kind).file,
                               weights_);
      for (const WeightsTable::Entry& entry : declared.table().entries())
        remember_roles(entry);
      if (!declared.limits().empty()) result_.part.notes.push_back(declared.limits());
      const TableFindings found = declared.table().findings(weights_);
      result_.missing = found.missing;
      for (const StoredTensor* tensor : found.surplus)
        result_.surplus.push_back(tensor->name);
      if (!found.missing.empty())
        add_problem(listing(found.missing.size(), "missing", found.missing));
      for (const TableFindings::Misfit& misfit : found.misfits)
        add_problem("tensor " + describe_misfit(misfit));
      if (!found.surplus.empty())
        add_problem(listing(found.surplus.size(), "not FLUX.2's", result_.surplus));
    } catch (const Error& error) {
      add_problem(error.message());
    }
  }

  // Some are declared twice, like an embedding table that is the output matrix as well.
  void remember_roles(const WeightsTable::Entry& entry) {
    for (const std::vector<Source>* sources : {&entry.sources, &entry.bias}) {
      for (const Source& source : *sources)
        roles_.try_emplace(source.name, role_of(entry, source.name));
    }
  }

  void add_tensor(const std::string& name, const StoredTensor& tensor) {
    require_complete(tensor);
    const auto role = roles_.find(name);
    VerifiedTensor verified = described(tensor, role == roles_.end() ? "unknown" : role->second);
    verified.name = name;
    if (holds_numbers(tensor)) {
      measure(verified, tensor);
      compare(verified, tensor);
      drop_pages(tensor);
    }
    result_.tensors.push_back(std::move(verified));
  }

  void add_companion(const StoredTensor& tensor) {
    const bool scale = tensor.name.find("scale") != std::string::npos ||
                       tensor.name.find("absmax") != std::string::npos;
    VerifiedTensor verified = described(tensor, scale ? "scale" : "says how others are stored");
    verified.name = tensor.name;
    if (holds_numbers(tensor)) measure(verified, tensor);
    result_.tensors.push_back(std::move(verified));
  }

  static VerifiedTensor described(const StoredTensor& tensor, std::string role) {
    VerifiedTensor verified;
    verified.stored_name = tensor.name;
    verified.role = std::move(role);
    verified.stored_as = encoding_of(tensor);
    verified.shape = dimensions(tensor.shape);
    verified.bytes = static_cast<std::int64_t>(tensor.bytes.size());
    if (tensor.decoder == nullptr) return verified;
    if (const std::optional<ScaleRange> scales = tensor.decoder->scales(tensor)) {
      verified.scales = {.least = scales->least, .most = scales->most, .count = scales->count};
    }
    return verified;
  }

  void measure(VerifiedTensor& verified, const StoredTensor& tensor) {
    const NumberStatistics numbers =
        measure_numbers(tensor, [this](std::int64_t bytes) { report(bytes); });
    verified.numbers = {.least = numbers.least,
                        .most = numbers.most,
                        .mean_magnitude = numbers.mean_magnitude,
                        .nan = numbers.nan,
                        .infinite = numbers.infinite};
    if (numbers.nan + numbers.infinite == 0) return;
    add_problem(fmt::format("tensor {} {} holds {} NaN and {} infinite numbers",
                            in_quotes(tensor.name), tensor.shape.to_string(), numbers.nan,
                            numbers.infinite));
  }

  void compare(VerifiedTensor& verified, const StoredTensor& tensor) {
    if (!parent_) return;
    const StoredTensor* parent = parent_->find(verified.name);
    if (parent == nullptr || !holds_numbers(*parent)) {
      return add_problem(fmt::format("tensor {} is not in the parent", in_quotes(tensor.name)));
    }
    if (parent->shape != tensor.shape) {
      return add_problem(fmt::format("tensor {} is {} and its parent {}", in_quotes(tensor.name),
                                     tensor.shape.to_string(), parent->shape.to_string()));
    }
    require_complete(*parent);
    const NumberDifference found =
        compare_numbers(tensor, *parent, [this](std::int64_t) { report(0); });
    drop_pages(*parent);
    const double allowed = allowed_error(found);
    const bool off = !(found.relative_error <= allowed) ||
                     !(std::abs(found.gain - 1) <= allowed_gain(found, tensor.shape.elements()));
    verified.difference = {.relative_error = found.relative_error,
                           .cosine = found.cosine,
                           .gain = found.gain,
                           .allowed_error = allowed,
                           .off = off};
    if (!off) return;
    add_problem(
        fmt::format("tensor {} is not its parent's: relative error {:.3g} where {} "
                    "explains {:.2g}, cosine {:.4f}, gain {:.3f}",
                    in_quotes(tensor.name), found.relative_error, encoding_of(tensor), allowed,
                    found.cosine, found.gain));
  }

  void check_parent_is_covered() {
    if (!parent_) return;
    std::vector<std::string> lost;
    for (const auto& [name, tensor] : parent_->tensors()) {
      const auto role = roles_.find(name);
      const bool needed = role != roles_.end() && role->second != "not used";
      if (needed && weights_.find(name) == nullptr) lost.push_back(name);
    }
    if (!lost.empty()) add_problem(listing(lost.size(), "the parent's alone", lost));
  }

  void report(std::int64_t bytes) {
    if (options_.stop.stop_requested()) throw Error(ErrorCode::cancelled, "verifying was ended");
    done_ += bytes;
    if (!options_.progress) return;
    options_.progress(
        {.part = result_.part.name, .done = std::min(done_, total_), .total = total_});
  }

  const PlacedPart& place_;
  const VerifyOptions& options_;
  std::vector<VerifyProblem>& problems_;
  Checkpoint weights_;
  std::optional<Checkpoint> parent_;
  std::map<std::string, std::string> roles_;
  VerifiedPart result_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace

VerifiedPart verify_part(const PlacedPart& place, const std::map<PartKind, fs::path>& parents,
                         const VerifyOptions& options, std::vector<VerifyProblem>& problems) {
  const Backend backend = make_backend({.threads = options.threads});
  PartVerifier verifier(place, *backend.ops, options, problems);
  verifier.compare_with(parents);
  return std::move(verifier).run();
}

}  // namespace flux2
