#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "checkpoint/companions/pool.h"
#include "checkpoint/encodings/scales.h"
#include "checkpoint/encodings/svdquant_decoder.h"
#include "checkpoint/in_quotes.h"

// nunchaku's tensors beside "X.qweight": wscales, wcscales or wtscale, smooth_factor, proj_down and
// proj_up, bias; in files before version 1 smooth, lora_down and lora_up. The result is "X.weight".
namespace flux2 {
namespace {

using svdquant::kTile;

struct Layer {
  TensorPool& pool;
  std::string name;
  StoredTensor codes;

  std::optional<StoredTensor> take(std::initializer_list<const char*> suffixes) const {
    for (const char* suffix : suffixes)
      if (auto tensor = pool.take(name + suffix)) return tensor;
    return std::nullopt;
  }
};

bool is_16_bits(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16;
}

// A vector of `length` numbers of 16 bits, put into order.
std::vector<float> vector_of(const StoredTensor& tensor, std::int64_t length) {
  if (!is_16_bits(tensor.dtype) || tensor.shape.elements() != length) {
    refuse_companion(tensor, fmt::format("is {} {}, not {} numbers of 16 bits",
                                         name_of(tensor.dtype), tensor.shape.to_string(), length));
  }
  std::vector<float> packed(static_cast<std::size_t>(length));
  convert_to_float(tensor.dtype, tensor.bytes.data(), packed.data(), packed.size());
  std::vector<float> values(packed.size());
  for (std::int64_t i = 0; i < length; ++i)
    values[static_cast<std::size_t>(i)] =
        packed[static_cast<std::size_t>(svdquant::scale_of(i, 0, 1))];
  return values;
}

void take_scales(const Layer& layer, SvdquantDecoder::Parts& parts) {
  auto scales = layer.take({".wscales"});
  if (!scales) {
    refuse_companion(layer.codes, "has no \"wscales\" beside it",
                     "only SVDQuant files of nunchaku are read with a \"qweight\"");
  }
  const bool float_codes = scales->dtype == DType::f8_e4m3;
  if (!float_codes && !is_16_bits(scales->dtype)) {
    refuse_companion(*scales, fmt::format("holds scales as {}", name_of(scales->dtype)));
  }
  parts.codes = float_codes ? SvdquantDecoder::Codes::e2m1 : SvdquantDecoder::Codes::int4;
  const std::int64_t group = float_codes ? 16 : 64;
  if (scales->shape.elements() != parts.out * (parts.in / group)) {
    refuse_companion(*scales, fmt::format("is {}, not a scale for {} inputs of {} outputs",
                                          scales->shape.to_string(), group, parts.out));
  }
  parts.channel.assign(static_cast<std::size_t>(parts.out), 1.0f);
  if (const auto channel = layer.take({".wcscales"})) {
    parts.channel = vector_of(*channel, parts.out);
  } else if (const auto all = layer.take({".wtscale"})) {
    const std::vector<float> scale = read_scales(*all, ZeroScale::refused);
    if (scale.size() != 1) refuse_companion(*all, "is not one number");
    parts.channel.assign(static_cast<std::size_t>(parts.out), scale.front());
  } else if (float_codes) {
    refuse_companion(layer.codes, "is SVDQuant NVFP4 without \"wcscales\" or \"wtscale\"");
  }
  parts.scales = *std::move(scales);
}

void take_smoothing(const Layer& layer, SvdquantDecoder::Parts& parts) {
  layer.take({".smooth_factor_orig", ".smooth_orig"});  // where the factors came from
  parts.smooth.assign(static_cast<std::size_t>(parts.in), 1.0f);
  const auto smooth = layer.take({".smooth_factor", ".smooth"});
  if (!smooth) return;
  parts.smooth = vector_of(*smooth, parts.in);
  const bool sound = std::all_of(parts.smooth.begin(), parts.smooth.end(),
                                 [](float factor) { return factor > 0 && factor < 1e30f; });
  if (!sound) refuse_companion(*smooth, "holds a factor that is not positive");
}

void take_branch(const Layer& layer, SvdquantDecoder::Parts& parts) {
  parts.down = layer.take({".proj_down", ".lora_down"});
  parts.up = layer.take({".proj_up", ".lora_up"});
  if (!parts.down && !parts.up) return;
  if (!parts.down || !parts.up) {
    refuse_companion(layer.codes, "has one half of its low-rank branch",
                     "the file is incomplete: get it again");
  }
  const Shape& down = parts.down->shape;
  parts.rank = down.rank() == 2 ? down[1] : -1;
  const bool fits = down == Shape({parts.in, parts.rank}) &&
                    parts.up->shape == Shape({parts.out, parts.rank}) && parts.rank % 16 == 0 &&
                    is_16_bits(parts.down->dtype) && is_16_bits(parts.up->dtype);
  if (fits) return;
  refuse_companion(*parts.down, fmt::format("{} and the other half {} fit no branch of {}",
                                            down.to_string(), parts.up->shape.to_string(),
                                            Shape({parts.out, parts.in}).to_string()));
}

// The bias of a layer is packed as its scales are. Writers add one of zeros where there is none.
void take_bias(const Layer& layer, std::int64_t out, std::size_t& zeros) {
  const auto bias = layer.take({".bias"});
  if (!bias) return;
  const std::vector<float> values = vector_of(*bias, out);
  if (std::any_of(values.begin(), values.end(), [](float value) { return value != 0; })) {
    refuse_companion(*bias, "is a bias; FLUX.2 has none", "this is another model");
  }
  ++zeros;
}

void fold(Layer layer, std::size_t& zeros) {
  const StoredTensor& codes = layer.codes;
  if (codes.dtype != DType::i8 || codes.shape.rank() != 2 || codes.bytes.empty()) {
    refuse_companion(codes,
                     fmt::format("is {} {}: a layout that is not supported", name_of(codes.dtype),
                                 codes.shape.to_string()),
                     "of files with a \"qweight\" only nunchaku's SVDQuant is read");
  }
  SvdquantDecoder::Parts parts;
  parts.out = codes.shape[0];
  parts.in = codes.shape[1] * 2;
  if (parts.out % kTile != 0 || parts.in % kTile != 0) {
    refuse_companion(codes, fmt::format("is {}, not whole tiles of {} outputs and inputs",
                                        codes.shape.to_string(), kTile));
  }
  take_scales(layer, parts);
  take_smoothing(layer, parts);
  take_branch(layer, parts);
  take_bias(layer, parts.out, zeros);
  if (layer.pool.find(layer.name + ".weight") != nullptr) {
    refuse_companion(codes, "is there beside the plain weight");
  }
  StoredTensor weight = codes;
  weight.name = layer.name + ".weight";
  weight.shape = Shape({parts.out, parts.in});
  weight.decoder = std::make_shared<SvdquantDecoder>(std::move(parts));
  layer.pool.add(std::move(weight));
}

}  // namespace

void fold_svdquant(TensorPool& pool, std::vector<std::string>& notes) {
  std::size_t zeros = 0;
  for (const std::string& name : pool.before(".qweight"))
    fold({pool, name, *pool.take(name + ".qweight")}, zeros);
  if (zeros > 0) notes.push_back(fmt::format("{} biases of zeros are not used", zeros));
}

}  // namespace flux2
