#include "adapters/adapter_config.h"

#include <cmath>

#include "checkpoint/config_file.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr double kLargestAlpha = 1e6;
constexpr const char* kMetadataKey = "lora_adapter_metadata";
// Diffusers puts the part before each key.
constexpr const char* kPrefixes[] = {"", "transformer."};

bool ends_as_module(std::string_view name, std::string_view end) {
  if (!name.ends_with(end)) return false;
  return name.size() == end.size() || name[name.size() - end.size() - 1] == '.';
}

}  // namespace

AdapterConfig AdapterConfig::of(const Metadata& metadata, const std::string& file) {
  const std::string* text = metadata.text(kMetadataKey);
  return text == nullptr ? AdapterConfig() : parse(*text, file);
}

AdapterConfig AdapterConfig::parse(std::string_view json, const std::string& file) {
  AdapterConfig result;
  const ConfigFile config = ConfigFile::parse(json, file);
  for (const std::string prefix : kPrefixes) {
    if (config.has(prefix + "lora_alpha")) {
      result.alpha_ = config.number(prefix + "lora_alpha", 0, kLargestAlpha);
    }
    result.root_ = result.root_ || config.flag(prefix + "use_rslora", false);
    const ConfigFile pattern = config.section(prefix + "alpha_pattern");
    for (const std::string& key : pattern.keys()) {
      const std::string end = key.starts_with('^') ? key.substr(1) : key;
      result.pattern_[end] = pattern.number(key, 0, kLargestAlpha);
    }
  }
  return result;
}

std::optional<double> AdapterConfig::alpha_of(std::string_view module, std::int64_t rank) const {
  std::optional<double> alpha = alpha_;
  for (const auto& [end, value] : pattern_) {
    if (ends_as_module(module, end)) alpha = value;
  }
  if (alpha && root_) return *alpha * std::sqrt(static_cast<double>(rank));
  return alpha;
}

}  // namespace flux2
