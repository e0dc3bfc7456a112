#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "checkpoint/companions/block_order.h"
#include "checkpoint/companions/pool.h"
#include "checkpoint/encodings/microscaled_decoder.h"
#include "checkpoint/encodings/scaled_decoder.h"
#include "checkpoint/encodings/scales.h"
#include "checkpoint/in_quotes.h"

// "LAYER.weight" with "LAYER.weight_scale" and others beside it: FP8, 8-bit integers, NVFP4, MXFP8.
namespace flux2 {
namespace {

constexpr std::int64_t kFp8Block = 128;  // of DeepSeek's and Qwen's "weight_scale_inv"

// The names that the same thing has in files of different writers.
constexpr std::string_view kScale[] = {".weight_scale", ".scale_weight", ".weight_scale_inv"};
constexpr std::string_view kInputScale[] = {".input_scale", ".scale_input"};
constexpr std::string_view kScale2 = ".weight_scale_2";
constexpr std::string_view kSmoothing = ".pre_quant_scale";
constexpr std::string_view kRotation = ".weight_rotation";

struct Layer {
  StoredTensor* weight = nullptr;
  std::optional<StoredTensor> scale, scale_2, smoothing, rotation;
  std::string format;  // of the mark; empty without
};

bool is_fp8(DType dtype) {
  return dtype == DType::f8_e4m3 || dtype == DType::f8_e5m2;
}

// The tensor of `layer` under one of `suffixes`, off the list.
template <typename Suffixes>
std::optional<StoredTensor> take_one(TensorPool& pool, const std::string& layer,
                                     const Suffixes& suffixes) {
  std::optional<StoredTensor> found;
  for (const std::string_view suffix : suffixes) {
    std::optional<StoredTensor> tensor = pool.take(layer + std::string(suffix));
    if (!tensor) continue;
    if (found)
      refuse_companion(*tensor, fmt::format("is there also as {}", in_quotes(found->name)));
    found = std::move(tensor);
  }
  return found;
}

std::set<std::string> layers_of(const TensorPool& pool, const LayerMarks& marks) {
  std::set<std::string> layers;
  for (const auto& [layer, mark] : marks)
    layers.insert(layer);
  for (const std::string_view suffix : {kScale[0], kScale[1], kScale[2], kInputScale[0],
                                        kInputScale[1], kScale2, kSmoothing, kRotation}) {
    for (std::string& layer : pool.before(suffix))
      layers.insert(std::move(layer));
  }
  return layers;
}

void require_matrix(const StoredTensor& weight) {
  if (weight.shape.rank() == 2) return;
  refuse_companion(
      weight, fmt::format("has block scales, but is {}, not a matrix", weight.shape.to_string()));
}

// What `scale` is by its shape: one for all, one a row, one a block of 128x128.
ScaleGrid grid_of(const StoredTensor& weight, const StoredTensor& scale, std::string& kind) {
  const std::int64_t out = weight.shape.rank() == 0 ? 1 : weight.shape[0];
  const std::int64_t in = row_elements(weight);
  const std::int64_t count = scale.shape.elements();
  if (count == 1) {
    kind = "a scale";
    return {read_scales(scale, ZeroScale::refused), std::max<std::int64_t>(out, 1),
            std::max<std::int64_t>(in, 1)};
  }
  const bool column = scale.shape == Shape({out}) || scale.shape == Shape({out, 1});
  if (column) {
    kind = "a scale a row";
    return {read_scales(scale, ZeroScale::empty_block), 1, std::max<std::int64_t>(in, 1)};
  }
  const Shape blocks{(out + kFp8Block - 1) / kFp8Block, (in + kFp8Block - 1) / kFp8Block};
  if (weight.shape.rank() == 2 && scale.shape == blocks) {
    kind = "scales of 128x128 blocks";
    return {read_scales(scale, ZeroScale::empty_block), kFp8Block, kFp8Block};
  }
  refuse_companion(
      scale, fmt::format("is {}, which fits no layout of scales for {} {}", scale.shape.to_string(),
                         in_quotes(weight.name), weight.shape.to_string()));
}

// docs/int8.md: rows that were turned before they became integers.
Rotation rotation_of(const Layer& layer) {
  if (!layer.rotation) return Rotation::none;
  const StoredTensor& rotation = *layer.rotation;
  const StoredTensor& weight = *layer.weight;
  std::int32_t size = 0;
  if (rotation.dtype == DType::i32 && rotation.bytes.size() == sizeof(size)) {
    std::memcpy(&size, rotation.bytes.data(), sizeof(size));
  }
  if (size != kRotationSize) {
    refuse_companion(rotation, "is not a rotation that is known: one I32, 64",
                     "get a newer flux2, or quantise the model again");
  }
  if (weight.dtype != DType::i8 || weight.shape.rank() != 2 ||
      weight.shape[1] % kRotationSize != 0) {
    refuse_companion(rotation,
                     fmt::format("turns {}, which is not an I8 matrix of a multiple of 64 "
                                 "columns",
                                 in_quotes(weight.name)));
  }
  return Rotation::hadamard;
}

void fold_grid(Layer& layer) {
  std::string kind;
  ScaleGrid grid = grid_of(*layer.weight, *layer.scale, kind);
  const Rotation rotation = rotation_of(layer);
  if (rotation != Rotation::none) kind += ", rotated";
  layer.weight->decoder =
      std::make_shared<ScaledDecoder>(*layer.weight, std::move(grid), kind, rotation);
}

void fold_mxfp8(Layer& layer, BlockOrder& order) {
  StoredTensor& weight = *layer.weight;
  require_matrix(weight);
  if (weight.dtype != DType::f8_e4m3 || weight.shape[1] % 32 != 0) {
    refuse_companion(weight, "is marked as MXFP8, but is not E4M3 in groups of 32");
  }
  const BlockScales scales{.tensor = *layer.scale,
                           .rows = weight.shape[0],
                           .columns = weight.shape[1] / 32,
                           .kind = BlockScaleKind::e8m0,
                           .marked = !layer.format.empty()};
  order.check(scales);
  weight.decoder = std::make_shared<Mxfp8Decoder>(*layer.scale);
}

void fold_nvfp4(Layer& layer, BlockOrder& order) {
  StoredTensor& weight = *layer.weight;
  require_matrix(weight);
  if (!layer.scale_2) {
    refuse_companion(weight, "is NVFP4 without its \"weight_scale_2\"");
  }
  if (weight.dtype != DType::u8 || weight.shape[1] % 8 != 0) {
    refuse_companion(weight, "is marked as NVFP4, but is not U8 in groups of 8 bytes");
  }
  const std::vector<float> scale = read_scales(*layer.scale_2, ZeroScale::refused);
  if (scale.size() != 1) refuse_companion(*layer.scale_2, "is not one number");
  const std::int64_t width = weight.shape[1] * 2;
  const BlockScales scales{.tensor = *layer.scale,
                           .rows = weight.shape[0],
                           .columns = width / 16,
                           .kind = BlockScaleKind::e4m3,
                           .marked = !layer.format.empty()};
  order.check(scales);
  std::vector<float> smoothing;
  if (layer.smoothing) {
    smoothing = read_scales(*layer.smoothing, ZeroScale::refused);
    if (static_cast<std::int64_t>(smoothing.size()) != width) {
      refuse_companion(*layer.smoothing,
                       fmt::format("is not one number for each of {} columns", width));
    }
  }
  weight.shape.set(1, width);
  weight.decoder =
      std::make_shared<Nvfp4Decoder>(*layer.scale, scale.front(), std::move(smoothing));
}

// A weight that is plain already: scales of one say nothing, others contradict it.
void drop_unneeded(const Layer& layer) {
  const std::vector<float> scales = read_scales(*layer.scale, ZeroScale::refused);
  if (std::all_of(scales.begin(), scales.end(), [](float scale) { return scale == 1.0f; })) return;
  refuse_companion(*layer.scale,
                   fmt::format("scales {}, which is {} and needs none",
                               in_quotes(layer.weight->name), name_of(layer.weight->dtype)),
                   "the file was converted by halves: get another one");
}

// The format that a mark must have for the elements of the weight.
void require_mark(const Layer& layer, std::initializer_list<std::string_view> formats) {
  if (layer.format.empty()) return;
  for (const std::string_view format : formats)
    if (layer.format == format) return;
  refuse_companion(*layer.weight,
                   fmt::format("is {} and marked as {}, which is not supported",
                               name_of(layer.weight->dtype), in_quotes(layer.format)),
                   "get the model as BF16, FP8, GGUF, NVFP4 or bitsandbytes NF4");
}

void fold_layer(Layer& layer, BlockOrder& order) {
  const StoredTensor& weight = *layer.weight;
  if (weight.bytes.empty()) refuse_companion(weight, "has scales, but is empty");
  if (layer.smoothing && weight.dtype != DType::u8) {
    refuse_companion(*layer.smoothing, "smooths a weight that is not NVFP4");
  }
  switch (weight.dtype) {
    case DType::f8_e4m3:
      require_mark(layer, {"float8_e4m3fn", "mxfp8"});
      if (layer.format == "mxfp8" || layer.scale->dtype == DType::u8) {
        return fold_mxfp8(layer, order);
      }
      return fold_grid(layer);
    case DType::f8_e5m2:
      require_mark(layer, {"float8_e5m2"});
      return fold_grid(layer);
    case DType::i8:
      require_mark(layer, {"int8_tensorwise"});
      return fold_grid(layer);
    case DType::u8:
      require_mark(layer, {"nvfp4"});
      return fold_nvfp4(layer, order);
    default:
      require_mark(layer, {});
      return drop_unneeded(layer);
  }
}

constexpr unsigned kLargeFp8 = 0x78;  // without the sign: 256 as E4M3, 32768 as E5M2

// FP8 weights beside scaled ones may be plain casts; one that uses the whole range of its type is
// not, since no weight of a model comes near 448: its scale was lost.
void refuse_lost_scales(const TensorPool& pool) {
  const auto& tensors = pool.tensors();
  const bool scaled = std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    return entry.second.decoder != nullptr && is_fp8(entry.second.dtype);
  });
  if (!scaled) return;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.decoder != nullptr || !is_fp8(tensor.dtype) || tensor.shape.rank() != 2) continue;
    const bool large = std::any_of(tensor.bytes.begin(), tensor.bytes.end(), [](std::byte bits) {
      return (std::to_integer<unsigned>(bits) & 0x7Fu) >= kLargeFp8;
    });
    if (!large) continue;
    refuse_companion(tensor, "has no scale, but numbers that need one, as the other FP8 weights",
                     "the file is damaged: get it again");
  }
}

}  // namespace

void fold_scaled(TensorPool& pool, const LayerMarks& marks, std::vector<std::string>& notes) {
  std::size_t input_scales = 0;
  BlockOrder order;
  for (const std::string& name : layers_of(pool, marks)) {
    Layer layer;
    layer.weight = pool.find(name + ".weight");
    if (layer.weight == nullptr || layer.weight->decoder != nullptr) continue;  // orphans
    layer.scale = take_one(pool, name, kScale);
    layer.scale_2 = pool.take(name + std::string(kScale2));
    layer.smoothing = pool.take(name + std::string(kSmoothing));
    layer.rotation = pool.take(name + std::string(kRotation));
    if (const auto input = take_one(pool, name, kInputScale)) {
      read_scales(*input, ZeroScale::refused);
      ++input_scales;
    }
    const auto mark = marks.find(name);
    if (mark != marks.end()) layer.format = mark->second.format;
    if (layer.rotation) rotation_of(layer);
    if (!layer.scale && !layer.scale_2 && !layer.rotation && layer.format.empty()) continue;
    if (!layer.scale) {
      refuse_companion(*layer.weight,
                       fmt::format("is {} and its scale is missing",
                                   layer.format.empty() ? "quantised" : layer.format));
    }
    if (layer.scale_2 && layer.weight->dtype != DType::u8) {
      refuse_companion(*layer.scale_2, "belongs to a weight that is not NVFP4");
    }
    fold_layer(layer, order);
  }
  order.finish();
  refuse_lost_scales(pool);
  if (input_scales > 0) {
    notes.push_back(
        fmt::format("{} input scales are not used: activations are never clipped to "
                    "what a calibration saw",
                    input_scales));
  }
}

}  // namespace flux2
