// Types with tensors beside the weight, by the formulas of docs/formats.md.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>

#include "checkpoint/encodings/svdquant_decoder.h"
#include "matrix_writers.h"

namespace flux2::test {
namespace {

Tensor bytes_tensor(const Shape& shape, DType dtype, const std::string& bytes) {
  Tensor tensor = make_host_tensor(shape, dtype);
  std::memcpy(tensor.bytes(), bytes.data(), bytes.size());
  return tensor;
}
Tensor text_tensor(const std::string& text) {
  return bytes_tensor({static_cast<std::int64_t>(text.size())}, DType::u8, text);
}
Tensor floats(const Shape& shape, const std::vector<float>& values) {
  return make_host_tensor(shape, values);
}
std::string bf16_bytes(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    const BFloat16 rounded(value);
    bytes.append(reinterpret_cast<const char*>(&rounded.bits), 2);
  }
  return bytes;
}
std::int64_t groups_of(std::int64_t size, std::int64_t group) {
  return (size + group - 1) / group;
}

// The code among `count` whose number is nearest to `x`.
template <typename Number>
std::uint8_t nearest_code(float x, std::size_t count, const Number& number) {
  std::size_t best = 0;
  float distance = INFINITY;
  for (std::size_t code = 0; code < count; ++code) {
    const float away = std::abs(number(code) - x);
    if (away < distance) {  // never of NaN
      best = code;
      distance = away;
    }
  }
  return static_cast<std::uint8_t>(best);
}

// The largest magnitude in rows [row, row + rows) and columns [column, column + columns).
float largest(const Matrix& w, std::int64_t row, std::int64_t rows, std::int64_t column,
              std::int64_t columns) {
  float most = 0;
  for (std::int64_t i = row; i < std::min(row + rows, w.rows); ++i)
    for (std::int64_t k = column; k < std::min(column + columns, w.columns); ++k)
      most = std::max(most, std::abs(w.values[w.at(i, k)]));
  return most;
}

// Scales of tiles: {all}, {a row} or {128 x 128}.
struct Tiles {
  std::int64_t rows, columns;
};
constexpr std::int64_t kAll = std::int64_t{1} << 40;

struct ScaledCodes {
  std::string codes;
  std::vector<float> scales;
  std::vector<float> meaning;
};

// w = number(code) s, with s such that the largest number of a tile is `most`.
ScaledCodes scaled(const Matrix& w, const Tiles& tiles, float most,
                   const std::function<std::uint8_t(float)>& encode,
                   const std::function<float(std::uint8_t)>& number) {
  ScaledCodes result{.codes = std::string(w.values.size(), '\0'),
                     .scales = {},
                     .meaning = std::vector<float>(w.values.size())};
  for (std::int64_t row = 0; row < w.rows; row += tiles.rows) {
    for (std::int64_t column = 0; column < w.columns; column += tiles.columns) {
      const float scale = largest(w, row, tiles.rows, column, tiles.columns) / most;
      result.scales.push_back(scale);
      for (std::int64_t i = row; i < std::min(row + tiles.rows, w.rows); ++i) {
        for (std::int64_t k = column; k < std::min(column + tiles.columns, w.columns); ++k) {
          const std::uint8_t code = encode(w.values[w.at(i, k)] / scale);
          result.codes[w.at(i, k)] = static_cast<char>(code);
          result.meaning[w.at(i, k)] = number(code) * scale;
        }
      }
    }
  }
  return result;
}

float f8_number(DType type, std::uint8_t code) {
  return type == DType::f8_e4m3 ? f8_e4m3_to_float(code) : f8_e5m2_to_float(code);
}
// Exact, and fast enough for a whole model: codes of one sign ascend with their numbers.
std::uint8_t f8_code(DType type, float x) {
  const std::size_t finite = type == DType::f8_e4m3 ? 0x7F : 0x7C;
  static std::map<DType, std::vector<float>> tables;
  std::vector<float>& table = tables[type];
  for (std::size_t code = table.size(); code < finite; ++code)
    table.push_back(f8_number(type, static_cast<std::uint8_t>(code)));
  const float size = std::abs(x);
  auto above = std::lower_bound(table.begin(), table.end(), size);
  if (above == table.end() || (above != table.begin() && size - above[-1] < *above - size)) --above;
  return static_cast<std::uint8_t>((above - table.begin()) | (std::signbit(x) ? 0x80 : 0));
}

template <DType Type>
ScaledCodes f8_codes(const Matrix& w, const Tiles& tiles) {
  return scaled(
      w, tiles, Type == DType::f8_e4m3 ? 448.0F : 57344.0F,
      [](float x) { return f8_code(Type, x); },
      [](std::uint8_t code) { return f8_number(Type, code); });
}

template <DType Type>
StoredMatrix f8_plain(const Matrix& w) {
  StoredMatrix stored;
  std::string codes;
  for (const float x : w.values) {
    codes += static_cast<char>(f8_code(Type, x));
    stored.meaning.push_back(f8_number(Type, static_cast<std::uint8_t>(codes.back())));
  }
  stored.tensors[".weight"] = bytes_tensor({w.rows, w.columns}, Type, codes);
  return stored;
}

template <DType Type, std::int64_t Rows, std::int64_t Columns>
StoredMatrix f8_scaled(const Matrix& w) {
  const ScaledCodes codes = f8_codes<Type>(w, {Rows, Columns});
  const Shape shape = Rows == kAll ? Shape{}
                      : Rows == 1  ? Shape{w.rows, 1}
                                   : Shape{groups_of(w.rows, Rows), groups_of(w.columns, Columns)};
  const char* name = Rows == 128 ? ".weight_scale_inv" : ".weight_scale";
  return {{{".weight", bytes_tensor({w.rows, w.columns}, Type, codes.codes)},
           {name, floats(shape, codes.scales)},
           {".input_scale", floats({}, {0.25F})}},
          codes.meaning};
}

template <std::int64_t Rows>
StoredMatrix int8_scaled(const Matrix& w) {
  const ScaledCodes codes = scaled(
      w, {Rows, kAll}, 127,
      [](float x) { return static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(x))); },
      [](std::uint8_t code) { return static_cast<float>(static_cast<std::int8_t>(code)); });
  return {{{".weight", bytes_tensor({w.rows, w.columns}, DType::i8, codes.codes)},
           {".weight_scale", floats(Rows == 1 ? Shape{w.rows} : Shape{1}, codes.scales)}},
          codes.meaning};
}

constexpr std::array<float, 16> kE2m1 = {0,  0.5F,  1,  1.5F,  2,  3,  4,  6,
                                         -0, -0.5F, -1, -1.5F, -2, -3, -4, -6};
std::uint8_t e2m1_code(float x) {
  return nearest_code(x, kE2m1.size(), [](std::size_t code) { return kE2m1[code]; });
}

// Scales [rows, groups] of one byte in cuBLAS' tiles of 128 x 4.
struct TiledScales {
  std::int64_t rows, columns;  // padded
  std::string bytes;

  TiledScales(std::int64_t count, std::int64_t groups)
      : rows(groups_of(count, 128) * 128),
        columns(groups_of(groups, 4) * 4),
        bytes(static_cast<std::size_t>(rows * columns), '\0') {}

  char& at(std::int64_t row, std::int64_t group) {
    const std::int64_t tile = row / 128 * (columns / 4) + group / 4;
    return bytes[static_cast<std::size_t>((tile * 32 + row % 32) * 16 + row % 128 / 32 * 4 +
                                          group % 4)];
  }
};

StoredMatrix nvfp4(const Matrix& w) {
  const float whole = largest(w, 0, w.rows, 0, w.columns) / (448 * 6);
  TiledScales scales(w.rows, groups_of(w.columns, 16));
  std::string codes(w.values.size() / 2, '\0');
  StoredMatrix stored;
  stored.meaning.resize(w.values.size());
  for (std::int64_t i = 0; i < w.rows; ++i) {
    for (std::int64_t k = 0; k < w.columns; ++k) {
      if (k % 16 == 0) {
        const float wanted = largest(w, i, 1, k, 16) / 6 / whole;
        scales.at(i, k / 16) = static_cast<char>(f8_code(DType::f8_e4m3, wanted));
      }
      const float step = whole * f8_e4m3_to_float(static_cast<std::uint8_t>(scales.at(i, k / 16)));
      const std::uint8_t code = step == 0 ? 0 : e2m1_code(w.values[w.at(i, k)] / step);
      char& byte = codes[w.at(i, k) / 2];  // even columns in high nibbles
      byte = static_cast<char>(byte | (k % 2 == 0 ? code << 4 : code));
      stored.meaning[w.at(i, k)] = kE2m1[code] * step;
    }
  }
  stored.tensors[".weight"] = bytes_tensor({w.rows, w.columns / 2}, DType::u8, codes);
  stored.tensors[".weight_scale"] =
      bytes_tensor({scales.rows, scales.columns}, DType::f8_e4m3, scales.bytes);
  stored.tensors[".weight_scale_2"] = floats({}, {whole});
  stored.tensors[".comfy_quant"] = text_tensor(R"({"format": "nvfp4"})");
  return stored;
}

StoredMatrix mxfp8(const Matrix& w) {
  TiledScales scales(w.rows, groups_of(w.columns, 32));
  std::string codes(w.values.size(), '\0');
  StoredMatrix stored;
  stored.meaning.resize(w.values.size());
  for (std::int64_t i = 0; i < w.rows; ++i) {
    for (std::int64_t k = 0; k < w.columns; ++k) {
      const float most = largest(w, i, 1, k / 32 * 32, 32);
      const int power = static_cast<int>(std::ceil(std::log2(std::max(most, 1e-30F) / 448)));
      scales.at(i, k / 32) = static_cast<char>(power + 127);
      const std::uint8_t code = f8_code(DType::f8_e4m3, std::ldexp(w.values[w.at(i, k)], -power));
      codes[w.at(i, k)] = static_cast<char>(code);
      stored.meaning[w.at(i, k)] = std::ldexp(f8_e4m3_to_float(code), power);
    }
  }
  stored.tensors[".weight"] = bytes_tensor({w.rows, w.columns}, DType::f8_e4m3, codes);
  stored.tensors[".weight_scale"] =
      bytes_tensor({scales.rows, scales.columns}, DType::u8, scales.bytes);
  stored.tensors[".comfy_quant"] = text_tensor(R"({"format": "mxfp8"})");
  return stored;
}

// Tables of four bits with a maximum for 64 elements, which is itself a code of eight bits.
StoredMatrix four_bits(const Matrix& w, const std::string& kind, const std::vector<float>& table) {
  constexpr std::size_t kBlock = 64, kOuter = 256;
  constexpr float kOffset = 0.25F;
  const std::size_t blocks = w.values.size() / kBlock;
  std::vector<float> maxima(blocks), map(256), outer((blocks + kOuter - 1) / kOuter);
  for (std::size_t i = 0; i < w.values.size(); ++i)
    maxima[i / kBlock] = std::max(maxima[i / kBlock], std::abs(w.values[i]));
  for (std::size_t b = 0; b < blocks; ++b)
    outer[b / kOuter] = std::max(outer[b / kOuter], std::abs(maxima[b] - kOffset));
  for (std::size_t c = 0; c < map.size(); ++c)
    map[c] = (static_cast<float>(c) - 127.5F) / 127.5F;
  StoredMatrix stored;
  std::string codes(w.values.size() / 2, '\0'), inner(blocks, '\0');
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    const std::size_t b = i / kBlock;
    const float scale = outer[b / kOuter];
    const std::uint8_t coded = nearest_code((maxima[b] - kOffset) / scale, map.size(),
                                            [&](std::size_t c) { return map[c]; });
    inner[b] = static_cast<char>(coded);
    const float most = map[coded] * scale + kOffset;
    const std::uint8_t code =
        nearest_code(w.values[i] / most, table.size(), [&](std::size_t c) { return table[c]; });
    codes[i / 2] = static_cast<char>(codes[i / 2] | (i % 2 == 0 ? code << 4 : code));
    stored.meaning.push_back(table[code] * most);
  }
  const auto count = static_cast<std::int64_t>(blocks);
  const std::string state = R"({"quant_type": ")" + kind + R"(", "blocksize": 64, "shape": [)" +
                            std::to_string(w.rows) + ", " + std::to_string(w.columns) +
                            R"(], "nested_blocksize": 256, "nested_offset": 0.25})";
  stored.tensors[".weight"] = bytes_tensor({count * 32, 1}, DType::u8, codes);
  stored.tensors[".weight.absmax"] = bytes_tensor({count}, DType::u8, inner);
  stored.tensors[".weight.quant_map"] = floats({16}, table);
  stored.tensors[".weight.nested_absmax"] =
      floats({static_cast<std::int64_t>(outer.size())}, outer);
  stored.tensors[".weight.nested_quant_map"] = floats({256}, map);
  stored.tensors[".weight.quant_state.bitsandbytes__" + kind] = text_tensor(state);
  return stored;
}

StoredMatrix nf4(const Matrix& w) {
  return four_bits(w, "nf4",
                   {-1.0F, -0.6961928F, -0.52507305F, -0.39491749F, -0.28444138F, -0.18477343F,
                    -0.09105004F, 0.0F, 0.0795803F, 0.1609302F, 0.2461123F, 0.33791524F,
                    0.44070983F, 0.562617F, 0.72295684F, 1.0F});
}
StoredMatrix fp4(const Matrix& w) {
  std::vector<float> table;
  for (const float sign : {1.0F, -1.0F})
    for (const float twelfths : {0.0F, 0.0625F, 8.0F, 12.0F, 4.0F, 6.0F, 2.0F, 3.0F})
      table.push_back(sign * twelfths / 12);
  return four_bits(w, "fp4", table);
}

// Four bits in groups of 64, where tensor cores look for them; without a branch of low rank.
StoredMatrix svdquant(const Matrix& w) {
  constexpr std::int64_t kGroup = 64;
  const std::int64_t groups = w.columns / kGroup;
  std::vector<float> scales(static_cast<std::size_t>(w.rows * groups));
  std::string codes(w.values.size() / 2, '\0');
  StoredMatrix stored;
  for (std::int64_t i = 0; i < w.rows; ++i) {
    for (std::int64_t k = 0; k < w.columns; ++k) {
      const float scale = round_to_bf16(largest(w, i, 1, k / kGroup * kGroup, kGroup) / 7);
      scales[static_cast<std::size_t>(flux2::svdquant::scale_of(i, k / kGroup, groups))] = scale;
      const float q = std::clamp(std::nearbyint(w.values[w.at(i, k)] / scale), -8.0F, 7.0F);
      const auto at = static_cast<std::size_t>(flux2::svdquant::nibble_of(i, k, w.columns));
      const int nibble = static_cast<int>(q) & 15;
      codes[at / 2] = static_cast<char>(codes[at / 2] | (at % 2 == 0 ? nibble : nibble << 4));
      stored.meaning.push_back(q * scale);
    }
  }
  stored.tensors[".qweight"] = bytes_tensor({w.rows, w.columns / 2}, DType::i8, codes);
  stored.tensors[".wscales"] = bytes_tensor({groups, w.rows}, DType::bf16, bf16_bytes(scales));
  return stored;
}

StoredMatrix bf16(const Matrix& w) {
  StoredMatrix stored;
  stored.tensors[".weight"] = bytes_tensor({w.rows, w.columns}, DType::bf16, bf16_bytes(w.values));
  for (const float x : w.values)
    stored.meaning.push_back(round_to_bf16(x));
  return stored;
}

StoredMatrix f16(const Matrix& w) {
  StoredMatrix stored;
  std::string bytes;
  for (const float x : w.values) {
    const std::uint16_t half = float_to_half(x);
    bytes.append(reinterpret_cast<const char*>(&half), 2);
    stored.meaning.push_back(half_to_float(half));
  }
  stored.tensors[".weight"] = bytes_tensor({w.rows, w.columns}, DType::f16, bytes);
  return stored;
}

StoredMatrix f32(const Matrix& w) {
  return {{{".weight", floats({w.rows, w.columns}, w.values)}}, w.values};
}

}  // namespace

std::vector<TypeWriter> type_writers() {
  constexpr DType kE4m3 = DType::f8_e4m3, kE5m2 = DType::f8_e5m2;
  return {{"F32", 0, f32},
          {"F16", 0.001, f16},
          {"BF16", 0.003, bf16},
          {"F8_E4M3", 0.06, f8_plain<kE4m3>},
          {"F8_E5M2", 0.08, f8_plain<kE5m2>},
          {"F8_E4M3 with a scale", 0.04, f8_scaled<kE4m3, kAll, kAll>},
          {"F8_E5M2 with a scale", 0.08, f8_scaled<kE5m2, kAll, kAll>},
          {"F8_E4M3 with a scale a row", 0.04, f8_scaled<kE4m3, 1, kAll>},
          {"F8_E4M3 with scales of 128x128 blocks", 0.04, f8_scaled<kE4m3, 128, 128>},
          {"I8 with a scale", 0.08, int8_scaled<kAll>},
          {"I8 with a scale a row", 0.02, int8_scaled<1>},
          {"NVFP4", 0.15, nvfp4},
          {"MXFP8", 0.04, mxfp8},
          {"bitsandbytes NF4", 0.13, nf4},
          {"bitsandbytes FP4", 0.2, fp4},
          {"SVDQuant int4", 0.2, svdquant}};
}

}  // namespace flux2::test
