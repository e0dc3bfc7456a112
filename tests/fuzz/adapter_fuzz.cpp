// Any bytes as an adapter: an Error at worst, and every difference of a module that is understood
// can be added.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "adapters/adapter.h"
#include "adapters/adapter_change.h"
#include "adapters/delta.h"
#include "flux2/error.h"

namespace {

constexpr std::int64_t kMostElements = 1 << 16;

// A model of a few weights, so that some modules have something to change.
const flux2::Checkpoint& model() {
  static const std::vector<float> values(16, 1.0F);
  static const flux2::Checkpoint checkpoint = [] {
    flux2::TensorMap tensors;
    for (const char* name :
         {"x_embedder.weight", "norm_out.linear.weight", "transformer_blocks.0.attn.to_q.weight",
          "transformer_blocks.0.attn.to_k.weight", "transformer_blocks.0.attn.to_v.weight"}) {
      tensors[name] = {.name = name,
                       .file = "model",
                       .shape = {4, 4},
                       .bytes = std::as_bytes(std::span(values)),
                       .owner = nullptr};
    }
    return flux2::Checkpoint("model", tensors);
  }();
  return checkpoint;
}

void change(const flux2::AdapterFile& file) {
  static const std::vector<flux2::ModuleIndex> parts = {
      {flux2::PartKind::transformer, model().tensors()}};
  flux2::MatchedAdapter matched =
      match_adapter(file, parts, {.leniency = flux2::Leniency::lenient});
  const flux2::AdapterTerms& terms = matched.terms[flux2::PartKind::transformer];
  const flux2::AdapterChange change(terms);
  std::vector<float> rows(16);
  for (const auto& [name, unused] : terms)
    read_rows(change.changed(name, model()), 0, 4, rows.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto weights = flux2::parse_weights_file(std::as_bytes(std::span(data, size)), nullptr,
                                                   "fuzz.safetensors");
    const flux2::AdapterFile file = parse_adapter(weights, "fuzz.safetensors");
    for (const auto& [name, module] : file.modules) {
      if (module.tensors.empty()) continue;
      const flux2::DeltaPlan plan = plan_delta(module, "fuzz.safetensors");
      const std::int64_t width = plan.shape.rank() > 1 ? plan.shape[1] : 1;
      if (width > kMostElements || plan.shape[0] > kMostElements / width) continue;
      std::vector<float> row(static_cast<std::size_t>(width));
      make_delta(plan)->add(plan.shape[0] - 1, 1, 1.0F, row.data());
    }
    change(file);
  } catch (const flux2::Error&) {
    // The expected end of a damaged file.
  }
  return 0;
}
