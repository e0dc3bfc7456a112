#include "adapters/adapter_file.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "adapters/adapter_config.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/finite.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Role = AdapterRole;

[[noreturn]] void refuse(const std::string& file, const std::string& what,
                         const std::string& hint) {
  throw Error(ErrorCode::bad_file, what, file, hint);
}

struct Ending {
  std::string_view text;
  Role role;
};

// Of a key, behind its module. PEFT may put the name of an adapter in: "lora_A.default.weight".
constexpr std::array kEndings = {
    Ending{".lora_A.weight", Role::down},
    Ending{".lora_B.weight", Role::up},
    Ending{".lora_down.weight", Role::down},
    Ending{".lora_up.weight", Role::up},
    Ending{".lora_mid.weight", Role::mid},
    Ending{".lora.down.weight", Role::down},
    Ending{".lora.up.weight", Role::up},
    Ending{"_lora.down.weight", Role::down},
    Ending{"_lora.up.weight", Role::up},
    Ending{".lora_linear_layer.down.weight", Role::down},
    Ending{".lora_linear_layer.up.weight", Role::up},
    Ending{".alpha", Role::alpha},
    Ending{".dora_scale", Role::magnitude},
    Ending{".lora_magnitude_vector.weight", Role::magnitude},
    Ending{".lora_magnitude_vector", Role::magnitude},
    Ending{".lokr_w1", Role::lokr_w1},
    Ending{".lokr_w1_a", Role::lokr_w1_a},
    Ending{".lokr_w1_b", Role::lokr_w1_b},
    Ending{".lokr_w2", Role::lokr_w2},
    Ending{".lokr_w2_a", Role::lokr_w2_a},
    Ending{".lokr_w2_b", Role::lokr_w2_b},
    Ending{".lokr_t2", Role::lokr_t2},
    Ending{".hada_w1_a", Role::hada_w1_a},
    Ending{".hada_w1_b", Role::hada_w1_b},
    Ending{".hada_w2_a", Role::hada_w2_a},
    Ending{".hada_w2_b", Role::hada_w2_b},
    Ending{".hada_t1", Role::hada_t1},
    Ending{".hada_t2", Role::hada_t2},
    Ending{".diff", Role::diff},
    Ending{".w_norm", Role::diff},
};

// PEFT's words behind which the name of an adapter may stand.
constexpr std::array<std::string_view, 5> kNamed = {".lora_A.", ".lora_B.", ".lokr_w1.",
                                                    ".lokr_w2.", ".lora_magnitude_vector."};

// "X.lora_A.default.weight" without "default."
std::string without_adapter_name(std::string_view key) {
  for (const std::string_view word : kNamed) {
    const std::size_t at = key.rfind(word);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = key.substr(at + word.size());
    const std::size_t dot = rest.find('.');
    if (rest.substr(dot + 1) == "weight" && dot != std::string_view::npos) {
      return std::string(key.substr(0, at + word.size())) + "weight";
    }
    const bool bare = dot == std::string_view::npos && rest != "weight";
    if (bare) return std::string(key.substr(0, at + word.size() - 1));
  }
  return std::string(key);
}

// A tensor of one number; trainers write it in any type.
double number_in(const StoredTensor& tensor, const std::string& file) {
  double number = 0;
  const bool single = tensor.shape.elements() == 1;
  if (single && holds_numbers(tensor)) {
    float value = 0;
    read_rows(tensor, 0, 1, &value);
    number = static_cast<double>(value);
  } else if (single && tensor.dtype == DType::i64) {
    std::int64_t value = 0;
    std::memcpy(&value, tensor.bytes.data(), sizeof(value));
    number = static_cast<double>(value);
  } else if (single && tensor.dtype == DType::i32) {
    std::int32_t value = 0;
    std::memcpy(&value, tensor.bytes.data(), sizeof(value));
    number = value;
  } else {
    refuse(file,
           fmt::format("tensor {} is {} {}, not one number", in_quotes(tensor.name),
                       encoding_of(tensor), tensor.shape.to_string()),
           "the adapter is damaged");
  }
  if (!std::isfinite(number)) {
    refuse(file, fmt::format("tensor {} is {}, not a number", in_quotes(tensor.name), number),
           "the adapter is damaged");
  }
  return number;
}

void check_numbers(const StoredTensor& tensor, const std::string& file) {
  if (!holds_numbers(tensor) || tensor.shape.elements() == 0) {
    refuse(file,
           fmt::format("tensor {} is {} {}, not real numbers", in_quotes(tensor.name),
                       encoding_of(tensor), tensor.shape.to_string()),
           "the adapter is damaged or of a kind that is not supported");
  }
  require_finite(tensor);
}

std::string read_text(const fs::path& path) {
  constexpr std::streamsize kMost = 1 << 20;
  std::ifstream stream(path, std::ios::binary);
  std::string text(static_cast<std::size_t>(kMost), '\0');
  stream.read(text.data(), kMost);
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

const StoredTensor* AdapterModule::find(AdapterRole role) const {
  const auto found = tensors.find(role);
  return found == tensors.end() ? nullptr : &found->second;
}

std::optional<AdapterKey> parse_adapter_key(std::string_view key) {
  const std::string bare = without_adapter_name(key);
  for (const Ending& ending : kEndings) {
    if (bare.size() <= ending.text.size() || !bare.ends_with(ending.text)) continue;
    return AdapterKey{bare.substr(0, bare.size() - ending.text.size()), ending.role};
  }
  return std::nullopt;
}

AdapterFile parse_adapter(const WeightsFile& weights, const std::string& file,
                          const std::string& config) {
  AdapterFile result{.file = file, .modules = {}, .unread = {}};
  for (const auto& [name, tensor] : weights.tensors) {
    const std::optional<AdapterKey> key = parse_adapter_key(name);
    if (!key) {
      result.unread.push_back(name);
      continue;
    }
    AdapterModule& module = result.modules[key->module];
    module.name = key->module;
    if (key->role == Role::alpha) {
      module.alpha = number_in(tensor, file);
      continue;
    }
    check_numbers(tensor, file);
    const auto [place, fresh] = module.tensors.emplace(key->role, tensor);
    if (fresh) continue;
    refuse(file,
           fmt::format("tensors {} and {} are the same one in two spellings",
                       in_quotes(place->second.name), in_quotes(name)),
           "the file holds two adapters: take them apart");
  }
  const AdapterConfig given = config.empty() ? AdapterConfig::of(weights.metadata, file)
                                             : AdapterConfig::parse(config, file);
  for (auto& [name, module] : result.modules) {
    const StoredTensor* down = module.find(Role::down);
    if (!module.alpha && down != nullptr && down->shape.rank() > 0) {
      module.alpha = given.alpha_of(name, down->shape[0]);
    }
  }
  return result;
}

fs::path find_adapter(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return path;
  for (const char* name : {"adapter_model.safetensors", "pytorch_lora_weights.safetensors"}) {
    if (fs::is_regular_file(path / name, error)) return path / name;
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (is_weights_file(entry.path())) found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front();
  refuse(path.string(),
         found.empty() ? "holds no adapter" : "holds several files, and one adapter is needed",
         "give the file itself");
}

namespace {

// A whole model in an adapter's place: its tensors are of no form of adapter.
void refuse_model(const fs::path& file) {
  const std::vector<PartKind> parts = parts_in_file(file);
  if (parts.empty()) return;
  refuse(file.string(),
         fmt::format("holds the weights of a {} and no adapter", name_of(parts.front())),
         "a model is given by -m or --transformer, --text-encoder, --vae; an adapter is a LoRA or "
         "one of its kin");
}

}  // namespace

AdapterFile read_adapter(const fs::path& path) {
  const fs::path file = find_adapter(path);
  const fs::path config = file.parent_path() / "adapter_config.json";
  std::error_code ignored;
  const bool of_peft = file.filename() == "adapter_model.safetensors";
  const bool configured = of_peft && fs::is_regular_file(config, ignored);
  AdapterFile adapter = parse_adapter(read_weights_file(file), file.string(),
                                      configured ? read_text(config) : std::string());
  if (adapter.modules.empty()) refuse_model(file);
  return adapter;
}

}  // namespace flux2
