#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace flux2 {

/// What a weights file says about itself beside its tensors: "general.architecture",
/// "tokenizer.ggml.tokens" of a GGUF file, the texts of safetensors' "__metadata__".
/// Every reader gives nothing where the key is absent or holds another type.
class Metadata {
 public:
  /// Whole numbers of every width are std::int64_t, floating ones double; flags in a list are 0
  /// and 1.
  using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                             std::vector<double>, std::vector<std::string>>;

  Metadata() = default;
  explicit Metadata(std::map<std::string, Value, std::less<>> values)
      : values_(std::move(values)) {}

  const std::map<std::string, Value, std::less<>>& values() const { return values_; }
  bool has(std::string_view key) const { return values_.contains(key); }

  std::optional<bool> flag(std::string_view key) const { return copy<bool>(key); }
  std::optional<std::int64_t> integer(std::string_view key) const {
    return copy<std::int64_t>(key);
  }
  /// Also of a key that holds a whole number.
  std::optional<double> number(std::string_view key) const;
  const std::string* text(std::string_view key) const { return find<std::string>(key); }
  const std::vector<std::int64_t>* integers(std::string_view key) const {
    return find<std::vector<std::int64_t>>(key);
  }
  const std::vector<double>* numbers(std::string_view key) const {
    return find<std::vector<double>>(key);
  }
  const std::vector<std::string>* texts(std::string_view key) const {
    return find<std::vector<std::string>>(key);
  }

 private:
  template <typename T>
  const T* find(std::string_view key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : std::get_if<T>(&found->second);
  }
  template <typename T>
  std::optional<T> copy(std::string_view key) const {
    const T* value = find<T>(key);
    return value == nullptr ? std::nullopt : std::optional<T>(*value);
  }

  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace flux2
