#include <fmt/format.h>

#include "checkpoint/companions/pool.h"
#include "checkpoint/config_file.h"
#include "checkpoint/encodings/scales.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// One layer's entry, as a tensor of its own or under "_quantization_metadata":
//   {"format": "float8_e4m3fn", "full_precision_matrix_mult": true, "params": {...}}
// Full precision needs no care: weights are always dequantised exactly.
LayerMark mark_of(const ConfigFile& config, const std::string& file) {
  std::string format = config.text("format");
  const bool rotated =
      config.flag("convrot", false) || config.section("params").flag("convrot", false);
  if (rotated) format += " with rotated weights (convrot)";
  return {.format = std::move(format), .file = file};
}

// "LAYER.weight" may have a prefix that the layer's name in the metadata lacks.
std::optional<std::string> layer_in(TensorPool& pool, const std::string& name) {
  for (const char* prefix : {"", "model.diffusion_model.", "diffusion_model."}) {
    std::string layer = prefix + name;
    if (pool.find(layer + ".weight") != nullptr) return layer;
  }
  return std::nullopt;
}

void read_metadata_marks(TensorPool& pool, const Metadata& metadata, LayerMarks& marks) {
  const std::string* text = metadata.text("_quantization_metadata");
  if (text == nullptr || pool.tensors().empty()) return;
  const std::string& file = pool.tensors().begin()->second.file;
  const ConfigFile layers =
      ConfigFile::parse(*text, file + ": \"_quantization_metadata\"").section("layers");
  for (const std::string& name : layers.keys()) {
    const auto layer = layer_in(pool, name);
    if (!layer) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("\"_quantization_metadata\" is about layer {}, which is not there",
                              in_quotes(name)),
                  file, "the file is incomplete: get it again");
    }
    marks.emplace(*layer, mark_of(layers.section(name), file));
  }
}

void take_scaled_fp8(TensorPool& pool) {
  constexpr std::string_view kMarker = "scaled_fp8";
  for (const std::string& prefix : pool.before(kMarker)) {
    if (!prefix.empty() && !prefix.ends_with('.')) continue;
    pool.take(prefix + std::string(kMarker));  // its type says what the weights' own types say
  }
}

}  // namespace

LayerMarks take_marks(TensorPool& pool, const Metadata& metadata) {
  LayerMarks marks;
  read_metadata_marks(pool, metadata, marks);
  for (const std::string& layer : pool.before(".comfy_quant")) {
    const StoredTensor marker = *pool.take(layer + ".comfy_quant");
    if (pool.find(layer + ".weight") == nullptr || marker.dtype != DType::u8) {
      refuse_companion(marker, "says how a weight is stored that is not there",
                       "the file is incomplete or of another kind");
    }
    const std::string_view text(reinterpret_cast<const char*>(marker.bytes.data()),
                                marker.bytes.size());
    const ConfigFile config =
        ConfigFile::parse(text, marker.file + ": tensor " + in_quotes(marker.name));
    marks.insert_or_assign(layer, mark_of(config, marker.file));
  }
  take_scaled_fp8(pool);
  return marks;
}

}  // namespace flux2
