#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "checkpoint/companions/pool.h"
#include "checkpoint/config_file.h"
#include "checkpoint/element_count.h"
#include "checkpoint/encodings/bitsandbytes_decoder.h"
#include "checkpoint/encodings/scales.h"
#include "checkpoint/in_quotes.h"

// bitsandbytes' QuantState, as it lies beside "X.weight":
//   X.weight.absmax, X.weight.quant_map, X.weight.quant_state.bitsandbytes__nf4 (JSON), and where
//   the maxima are quantised too, X.weight.nested_absmax and X.weight.nested_quant_map
namespace flux2 {
namespace {

constexpr std::int64_t kMaxBlock = 1 << 16;

std::vector<float> floats_of(const StoredTensor& tensor, std::int64_t count) {
  if (tensor.dtype != DType::f32 || tensor.shape.elements() != count) {
    refuse_companion(tensor, fmt::format("is {} {}, not {} numbers of F32", name_of(tensor.dtype),
                                         tensor.shape.to_string(), count));
  }
  std::vector<float> values(static_cast<std::size_t>(count));
  convert_to_float(DType::f32, tensor.bytes.data(), values.data(), values.size());
  return values;
}

struct Parts {
  StoredTensor& weight;
  ConfigFile config;
  TensorPool& pool;

  StoredTensor take(const char* suffix) const {
    std::optional<StoredTensor> tensor = pool.take(weight.name + suffix);
    if (!tensor) {
      refuse_companion(weight,
                       fmt::format("is stored by bitsandbytes, but {} is missing",
                                   in_quotes(weight.name + suffix)),
                       "the file is incomplete: get it again");
    }
    return *std::move(tensor);
  }
};

std::int64_t block_size(const Parts& parts, const char* key) {
  const std::int64_t size = parts.config.integer(key, 2, kMaxBlock);
  if (std::has_single_bit(static_cast<std::uint64_t>(size))) return size;
  refuse_companion(parts.weight, fmt::format("has blocks of {}, not a power of two", size));
}

// absmax[b] = map[code[b]] * outer[b / outer_block] + offset
std::vector<float> nested_absmax(const Parts& parts, const StoredTensor& codes,
                                 std::int64_t count) {
  const std::int64_t outer_block = block_size(parts, "nested_blocksize");
  const auto offset = static_cast<float>(parts.config.number("nested_offset", -1e30, 1e30));
  const std::vector<float> map = floats_of(parts.take(".nested_quant_map"), 256);
  const std::vector<float> outer =
      floats_of(parts.take(".nested_absmax"), (count + outer_block - 1) / outer_block);
  if (codes.shape.elements() != count) {
    refuse_companion(
        codes, fmt::format("is {}, not one for each of {} blocks", codes.shape.to_string(), count));
  }
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t b = 0; b < values.size(); ++b) {
    const auto code = std::to_integer<std::size_t>(codes.bytes[b]);
    values[b] = map[code] * outer[b / static_cast<std::size_t>(outer_block)] + offset;
  }
  return values;
}

Shape shape_of(const Parts& parts) {
  const auto sizes = parts.config.integers("shape", 0, std::int64_t{1} << 31);
  const auto elements = element_count(sizes);
  const auto bytes = static_cast<std::int64_t>(parts.weight.bytes.size());
  const bool fits = !sizes.empty() && sizes.size() <= Shape::kMaxRank && elements &&
                    parts.weight.dtype == DType::u8 && bytes > 0 &&
                    bytes == *elements / 2 + *elements % 2;
  if (!fits) {
    refuse_companion(parts.weight,
                     fmt::format("is {} of {} bytes, which are not the four-bit codes of its shape",
                                 name_of(parts.weight.dtype), bytes));
  }
  return Shape(std::span<const std::int64_t>(sizes));
}

void fold(const Parts& parts, std::string kind) {
  const Shape shape = shape_of(parts);
  BitsandbytesDecoder::State state{.kind = std::move(kind), .table = {}, .absmax = {}};
  state.block_size = block_size(parts, "blocksize");
  const std::int64_t blocks = (shape.elements() + state.block_size - 1) / state.block_size;
  const std::vector<float> table = floats_of(parts.take(".quant_map"), 16);
  std::copy(table.begin(), table.end(), state.table.begin());
  const StoredTensor absmax = parts.take(".absmax");
  state.absmax =
      absmax.dtype == DType::u8 ? nested_absmax(parts, absmax, blocks) : floats_of(absmax, blocks);
  // Nested maxima near zero may come out slightly negative; bitsandbytes takes them as they are.
  const bool nested = absmax.dtype == DType::u8;
  for (std::size_t b = 0; b < state.absmax.size(); ++b) {
    if (std::isfinite(state.absmax[b]) && (nested || state.absmax[b] >= 0)) continue;
    refuse_companion(absmax, fmt::format("scale {} is {}", b, state.absmax[b]));
  }
  parts.weight.shape = shape;
  parts.weight.decoder = std::make_shared<BitsandbytesDecoder>(std::move(state));
}

}  // namespace

void fold_bitsandbytes(TensorPool& pool) {
  struct Kind {
    const char* suffix;
    const char* name;
  };
  for (const Kind& kind : {Kind{".quant_state.bitsandbytes__nf4", "NF4"},
                           Kind{".quant_state.bitsandbytes__fp4", "FP4"}}) {
    for (const std::string& name : pool.before(kind.suffix)) {
      const StoredTensor state = *pool.take(name + kind.suffix);
      StoredTensor* weight = pool.find(name);
      if (weight == nullptr || state.dtype != DType::u8) {
        refuse_companion(state, "says how a weight is stored that is not there",
                         "the file is incomplete: get it again");
      }
      const std::string_view text(reinterpret_cast<const char*>(state.bytes.data()),
                                  state.bytes.size());
      fold({*weight, ConfigFile::parse(text, state.file + ": tensor " + in_quotes(state.name)),
            pool},
           kind.name);
    }
  }
}

}  // namespace flux2
