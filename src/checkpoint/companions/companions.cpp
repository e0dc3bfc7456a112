#include "checkpoint/companions/companions.h"

#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/companions/pool.h"
#include "checkpoint/encodings/scales.h"
#include "checkpoint/in_quotes.h"

namespace flux2 {
namespace {

struct UnreadLayout {
  std::string_view suffix;
  std::string_view name;
};

constexpr std::string_view kUnreadHint =
    "get the model as BF16, FP8, GGUF, NVFP4 or bitsandbytes NF4";

// Tensors that give another program's layout away.
constexpr UnreadLayout kUnread[] = {
    {".weight._data", "quanto"},
    {".weight._scale", "quanto"},
    {"._weight_qdata", "torchao"},
    {".weight_qdata", "torchao"},
    {".qzeros", "GPTQ or AWQ"},
    {".g_idx", "GPTQ"},
    {".wzeros", "nunchaku's AWQ (4-bit weights, 16-bit activations)"},
    {".SCB", "bitsandbytes LLM.int8()"},
    {".weight_format", "bitsandbytes LLM.int8()"},
    {".weight_packed", "compressed-tensors"},
    {".weight_zero_point", "compressed-tensors"},
    {".weight_s_rel", "ComfyUI's asym_w4a8_int8"},
    {".weight_zeros", "ComfyUI's awq_w4a16"},
    {".qscale_weight", "Mistral's FP8"},
};

// Companions that no group has claimed belong to a weight that is not there.
constexpr std::string_view kCompanions[] = {
    ".weight_scale",     ".scale_weight", ".weight_scale_inv", ".weight_scale_2",
    ".weight_rotation",  ".input_scale",  ".scale_input",      ".pre_quant_scale",
    ".comfy_quant",      ".absmax",       ".quant_map",        ".nested_absmax",
    ".nested_quant_map", ".wscales",      ".wcscales",         ".wtscale",
    ".proj_down",        ".proj_up",      ".smooth_factor",    ".smooth_factor_orig",
    ".smooth_orig",
};

void refuse_orphans(const TensorPool& pool) {
  for (const auto& [name, tensor] : pool.tensors()) {
    for (const std::string_view suffix : kCompanions) {
      if (!name.ends_with(suffix)) continue;
      refuse_companion(tensor, "says how a weight is stored that is not there",
                       "the file is incomplete or of another kind");
    }
  }
}

}  // namespace

StoredTensor* TensorPool::find(const std::string& name) {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::optional<StoredTensor> TensorPool::take(const std::string& name) {
  auto node = tensors_.extract(name);
  if (node.empty()) return std::nullopt;
  return std::move(node.mapped());
}

void TensorPool::add(StoredTensor tensor) {
  std::string name = tensor.name;
  tensors_.insert_or_assign(std::move(name), std::move(tensor));
}

std::vector<std::string> TensorPool::before(std::string_view suffix) const {
  std::vector<std::string> layers;
  for (const auto& [name, tensor] : tensors_)
    if (name.ends_with(suffix)) layers.push_back(name.substr(0, name.size() - suffix.size()));
  return layers;
}

void refuse_unread_layouts(const TensorPool& pool, const Metadata& metadata) {
  for (const auto& [name, tensor] : pool.tensors()) {
    for (const UnreadLayout& layout : kUnread) {
      if (!name.ends_with(layout.suffix)) continue;
      refuse_companion(tensor,
                       fmt::format("belongs to {}'s layout, which is not supported", layout.name),
                       kUnreadHint);
    }
  }
  if (metadata.has("tensor_names") && !pool.tensors().empty()) {
    refuse_companion(pool.tensors().begin()->second,
                     "lies in a file of torchao's layout, which is not supported", kUnreadHint);
  }
}

std::vector<std::string> fold_companions(Tensors& tensors, const Metadata& metadata) {
  std::vector<std::string> notes;
  TensorPool pool(tensors);
  refuse_unread_layouts(pool, metadata);
  fold_bitsandbytes(pool);
  fold_svdquant(pool, notes);
  fold_scaled(pool, take_marks(pool, metadata), notes);
  refuse_orphans(pool);
  return notes;
}

}  // namespace flux2
