#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flux2 {

/// A JSON object from a checkpoint (config.json, model_index.json, ...), read with types and
/// ranges. A key that holds null counts as absent. Every error names the file and the key.
class ConfigFile {
 public:
  /// @throws Error bad_file: missing, larger than 16 MB, not a JSON object, nested too deep, a key
  ///         twice
  static ConfigFile read(const std::filesystem::path& path);
  /// @param name  stands in for the path in errors
  static ConfigFile parse(std::string_view json, std::string name);

  /// The file, for errors.
  const std::string& name() const { return name_; }
  bool has(std::string_view key) const;
  bool is_list(std::string_view key) const;
  /// The whole object as JSON, indented.
  std::string json() const;
  /// Of this object, in alphabetical order.
  std::vector<std::string> keys() const;

  /// The object as JSON on one line: equal for equal contents.
  std::string to_json() const;

  /// A whole number in [least, most].
  /// @throws Error bad_file: absent (without `fallback`), another type, out of range
  std::int64_t integer(std::string_view key, std::int64_t least, std::int64_t most,
                       std::optional<std::int64_t> fallback = {}) const;
  /// A finite number in [least, most].
  double number(std::string_view key, double least, double most,
                std::optional<double> fallback = {}) const;
  bool flag(std::string_view key, std::optional<bool> fallback = {}) const;
  std::string text(std::string_view key, std::optional<std::string> fallback = {}) const;
  /// A list of whole numbers, each in [least, most].
  std::vector<std::int64_t> integers(std::string_view key, std::int64_t least, std::int64_t most,
                                     std::optional<std::vector<std::int64_t>> fallback = {}) const;
  /// A list of texts; a null in it counts as an empty text.
  std::vector<std::string> texts(std::string_view key,
                                 std::optional<std::vector<std::string>> fallback = {}) const;
  /// A nested object; an empty one if absent.
  ConfigFile section(std::string_view key) const;

 private:
  struct Impl;
  ConfigFile(std::shared_ptr<const Impl> impl, std::string name);

  std::shared_ptr<const Impl> impl_;
  std::string name_;
};

}  // namespace flux2
