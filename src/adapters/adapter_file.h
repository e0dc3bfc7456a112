#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/weights_file.h"
#include "tensor/weight.h"

namespace flux2 {

/// What a tensor of an adapter is to its module. Names follow the programs that train them.
enum class AdapterRole {
  up,         ///< lora_up, lora_B: [out, r]
  down,       ///< lora_down, lora_A: [r, in]
  mid,        ///< lora_mid: [r, r]
  alpha,      ///< a number
  magnitude,  ///< dora_scale, lora_magnitude_vector: of rows or of columns
  lokr_w1,
  lokr_w1_a,
  lokr_w1_b,
  lokr_w2,
  lokr_w2_a,
  lokr_w2_b,
  lokr_t2,
  hada_w1_a,
  hada_w1_b,
  hada_w2_a,
  hada_w2_b,
  hada_t1,
  hada_t2,
  diff,  ///< diff, w_norm: the difference itself
};

/// What an adapter holds for one module.
struct AdapterModule {
  std::string name;  ///< as the file has it
  std::map<AdapterRole, StoredTensor> tensors;
  std::optional<double> alpha;  ///< of its own tensor, or of the file's configuration

  const StoredTensor* find(AdapterRole role) const;
};

/// An adapter as its file has it: nothing is known yet of the model that it is for.
struct AdapterFile {
  std::string file;  ///< for errors
  std::map<std::string, AdapterModule> modules;
  std::vector<std::string> unread;  ///< keys that belong to no form of adapter
};

/// A key of an adapter, taken apart.
struct AdapterKey {
  std::string module;
  AdapterRole role;
};
/// @return nothing where the key is of no known form
std::optional<AdapterKey> parse_adapter_key(std::string_view key);

/// Reads an adapter: a safetensors file, or a folder with adapter_model.safetensors,
/// pytorch_lora_weights.safetensors or one file of weights alone.
/// @throws Error bad_file: see read_weights_file; two spellings of one tensor; an alpha that is no
///         number; tensors that hold NaN or infinity; the weights of a model
AdapterFile read_adapter(const std::filesystem::path& path);

/// The file that read_adapter(path) reads.
/// @throws Error bad_file: there is none, or more than one
std::filesystem::path find_adapter(const std::filesystem::path& path);

/// The same for a file whose tensors are there already.
/// @param config  PEFT's adapter_config.json; empty: what the file's metadata has in its place
AdapterFile parse_adapter(const WeightsFile& weights, const std::string& file,
                          const std::string& config = {});

}  // namespace flux2
