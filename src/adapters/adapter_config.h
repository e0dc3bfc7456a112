#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/metadata.h"

namespace flux2 {

/// The alphas of an adapter that are not in tensors: PEFT's LoraConfig, from adapter_config.json
/// or from the text "lora_adapter_metadata" that Diffusers writes into a file.
class AdapterConfig {
 public:
  /// Of a file's metadata; nothing where it has none.
  /// @throws Error bad_file: as parse
  static AdapterConfig of(const Metadata& metadata, const std::string& file);
  /// @throws Error bad_file: not JSON, numbers out of range; a kind of adapter in it that changes
  ///         more than weights
  static AdapterConfig parse(std::string_view json, const std::string& file);

  /// The alpha of `module` so that its scale is alpha / rank; none: 1 is the scale.
  std::optional<double> alpha_of(std::string_view module, std::int64_t rank) const;

 private:
  std::optional<double> alpha_;
  std::map<std::string, double> pattern_;  // by the end of a module's name
  bool root_ = false;                      // rsLoRA: alpha / sqrt(rank)
};

}  // namespace flux2
