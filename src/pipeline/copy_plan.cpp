#include "pipeline/copy_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// Where GGUF files keep a tensor in F32 whatever was asked for (city96's tools/convert.py).
constexpr std::int64_t kSmallTensor = 1024;

bool is_vector(const StoredTensor& tensor) {
  return tensor.shape.rank() < 2;
}

bool has_whole_blocks(const StoredTensor& tensor, const NumberEncoder& encoder) {
  return row_elements(tensor) % encoder.elements == 0;
}

// Its own type where that is plain.
const NumberEncoder* plain_encoder(const StoredTensor& tensor) {
  const NumberEncoder* exact = exact_encoder(tensor);
  return exact != nullptr ? exact : find_encoder("BF16");
}

const NumberEncoder* gguf_encoder(const StoredTensor& tensor, Sensitivity sensitivity,
                                  const NumberEncoder& asked) {
  if (is_vector(tensor) || tensor.shape.elements() <= kSmallTensor) return find_encoder("F32");
  if (asked.is_plain()) return &asked;
  if (sensitivity == Sensitivity::sensitive) return plain_encoder(tensor);
  for (const NumberEncoder* encoder : {&asked, find_encoder("Q8_0")})
    if (has_whole_blocks(tensor, *encoder)) return encoder;
  return find_encoder("BF16");
}

const NumberEncoder* safetensors_encoder(const StoredTensor& tensor, const NumberEncoder* asked) {
  if (asked != nullptr && !is_vector(tensor)) return asked;
  if (const NumberEncoder* exact = exact_encoder(tensor)) return exact;
  if (tensor.decoder == nullptr) return nullptr;  // F64: as it is
  return find_encoder(is_vector(tensor) ? "F32" : "BF16");
}

std::set<std::string> tolerant_names(const WeightsTable& table) {
  std::set<std::string> names;
  for (const WeightsTable::Entry& entry : table.entries()) {
    if (entry.kind != WeightKind::linear || entry.sensitivity != Sensitivity::tolerant) continue;
    for (const Source& source : entry.sources)
      names.insert(source.name);
  }
  return names;
}

// The type with more bits a number: what several tensors that become one are stored as.
const NumberEncoder* wider(const NumberEncoder* a, const NumberEncoder* b) {
  if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
  return a->bytes * b->elements >= b->bytes * a->elements ? a : b;
}

}  // namespace

const NumberEncoder* TypeRule::encoder_for(const StoredTensor& tensor,
                                           Sensitivity sensitivity) const {
  if (!holds_numbers(tensor)) return nullptr;
  return format == WeightsFormat::gguf ? gguf_encoder(tensor, sensitivity, *asked)
                                       : safetensors_encoder(tensor, asked);
}

std::vector<TensorCopy> plan_copies(const TensorMap& tensors, const WeightsTable& table,
                                    const CopyTarget& target, const std::string& file) {
  const std::set<std::string> tolerant = tolerant_names(table);
  std::map<std::string, const NumberEncoder*> encoders;  // by name there
  for (const auto& [name, tensor] : tensors) {
    const auto sensitivity =
        tolerant.contains(name) ? Sensitivity::tolerant : Sensitivity::sensitive;
    const NumberEncoder*& encoder = encoders[stored_name({target.naming, ""}, name)];
    encoder = wider(encoder, target.types.encoder_for(tensor, sensitivity));
  }
  const bool gguf = target.types.format == WeightsFormat::gguf;
  const TensorMap renamed = target.naming == nullptr
                                ? tensors
                                : stored_tensors(*target.naming, "", tensors, target.heads, file);
  std::vector<TensorCopy> copies;
  for (const auto& [name, tensor] : renamed) {
    const NumberEncoder* encoder = encoders.at(name);
    if (encoder == nullptr && (tensor.decoder != nullptr || gguf)) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("tensor {} is {}, which is not converted", in_quotes(tensor.name),
                              encoding_of(tensor)),
                  tensor.file);
    }
    copies.push_back({name, tensor, encoder});
  }
  return copies;
}

std::int64_t copied_bytes(const std::vector<TensorCopy>& copies) {
  std::int64_t bytes = 0;
  for (const TensorCopy& copy : copies)
    bytes += copied_bytes(copy);
  return bytes;
}

std::map<std::string, std::string> kept_texts(const Metadata& metadata) {
  constexpr std::array<std::string_view, 5> kOfTheFile = {
      "format", "_quantization_metadata", "flux2.int8", "general.architecture", "general.type"};
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : metadata.values()) {
    const auto* text = std::get_if<std::string>(&value);
    const bool of_the_file =
        std::find(kOfTheFile.begin(), kOfTheFile.end(), key) != kOfTheFile.end() ||
        key.starts_with("tokenizer.");
    if (text != nullptr && !of_the_file) texts.emplace(key, *text);
  }
  return texts;
}

}  // namespace flux2
