#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flux2 {

/// Which files of a repository or snapshot a model consists of. Paths are relative to its root and
/// sorted, as listings have them.
class ModelFiles {
 public:
  /// @param paths  all there are
  /// @param parts  the wanted ones; empty: all
  /// @throws Error invalid_request: an unknown part
  ModelFiles(std::vector<std::string> paths, const std::vector<std::string>& parts);

  /// model_index.json, flux2.json, and of each part its configs, its tokenizer's files and the
  /// index of the weights that would be loaded.
  std::vector<std::string> small() const;
  /// The weights of each part, once `root` holds what small() names: of an index, its shards,
  /// whether they are there or not.
  std::vector<std::string> weights(const std::filesystem::path& root) const;
  /// A file without which the parts are no model: "transformer/config.json"; nothing if all is
  /// there, as far as names tell.
  std::optional<std::string> missing() const;

 private:
  bool has(const std::string& path) const;
  /// The file or index of a part's weights.
  std::optional<std::string> weights_of(const std::string& part) const;

  std::vector<std::string> paths_;
  std::vector<std::string> parts_;
};

/// A snapshot of a repository as it lies in the cache.
struct LocalModel {
  std::filesystem::path snapshot;
  std::vector<std::string> there;                  ///< its files, sorted
  std::optional<std::vector<std::string>> listed;  ///< what the repository holds, where known
  std::vector<std::string> parts;                  ///< the wanted ones; empty: all
};

/// A file without which the wanted parts are not complete; nothing if they are.
/// @throws Error bad_file: an index that cannot be read
std::optional<std::string> missing_from(const LocalModel& model);

}  // namespace flux2
