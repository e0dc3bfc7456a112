#include "pipeline/stored_types.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "models/language/derived_config.h"
#include "models/language/language_model.h"
#include "pipeline/part_table.h"

namespace flux2 {
namespace {

// Types of computing by the type that is stored.
using Uses = std::map<std::string, std::set<std::string>>;

Uses uses_of(const WeightsTable& table, const Checkpoint& weights, const Ops& ops) {
  Uses uses;
  for (const WeightsTable::Entry& entry : table.entries()) {
    if (entry.kind != WeightKind::linear && entry.kind != WeightKind::conv2d) continue;
    const std::vector<StoredTensor> sources = WeightsTable::sources_of(entry, weights);
    const std::string type = name_for_people(
        ops.linear_type(entry.kind == WeightKind::linear ? sources : std::vector<StoredTensor>{},
                        entry.sensitivity));
    for (const StoredTensor& tensor : sources)
      uses[std::string(encoding_of(tensor))].insert(type);
  }
  // What only vectors and tables are stored as is read as f32.
  for (const WeightsTable::Entry& entry : table.entries()) {
    if (entry.kind != WeightKind::vector && entry.kind != WeightKind::embedding) continue;
    for (const StoredTensor& tensor : WeightsTable::sources_of(entry, weights)) {
      std::set<std::string>& types = uses[std::string(encoding_of(tensor))];
      if (types.empty()) types.insert("f32");
    }
  }
  return uses;
}

// The last layer that is there counts as tapped, so that every layer is declared.
Uses uses_of_language_model(const ConfigFile& config, const Checkpoint& weights, const Ops& ops) {
  const ConfigFile sizes = config.has("text_config") ? config.section("text_config") : config;
  const std::int64_t declared = sizes.integer("num_hidden_layers", 1, 1 << 10);
  const DecoderUse use = {.taps = {std::min(declared, layers_held(weights))}};
  const auto model = make_language_model(config, use);
  return uses_of(model->weights(weights), weights, ops);
}

Uses uses_of(PartKind part, const ConfigFile& config, const Checkpoint& weights, const Ops& ops) {
  if (part == PartKind::text_encoder) return uses_of_language_model(config, weights, ops);
  return uses_of(PartTable(part, config, weights).table(), weights, ops);
}

std::string joined(const std::set<std::string>& types) {
  std::string text;
  for (const std::string& type : types)
    text = type + (text.empty() ? "" : " and ") + text;
  return text.empty() ? "not used" : text;
}

}  // namespace

std::string name_for_people(DType type) {
  switch (type) {
    case DType::i8:
      return "int8";
    case DType::bf16:
      return "bf16";
    default:
      return "f32";
  }
}

std::vector<StoredType> stored_types(PartKind part, const ConfigFile& config,
                                     const Checkpoint& weights, const Ops& ops) {
  std::map<std::string, std::int64_t> bytes;
  for (const auto& [name, tensor] : weights.tensors())
    bytes[std::string(encoding_of(tensor))] += static_cast<std::int64_t>(tensor.bytes.size());
  Uses uses = uses_of(part, config, weights, ops);
  std::vector<StoredType> types;
  for (const auto& [name, size] : bytes)
    types.push_back({.name = name, .bytes = size, .computed_as = joined(uses[name])});
  std::stable_sort(types.begin(), types.end(),
                   [](const StoredType& a, const StoredType& b) { return a.bytes > b.bytes; });
  return types;
}

}  // namespace flux2
