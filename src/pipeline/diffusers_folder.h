#pragma once

#include <filesystem>
#include <optional>

#include "base/atomic_folder.h"
#include "pipeline/model_folder.h"

namespace flux2 {

/// What a folder is made of: parts, and the model they make where they make one.
struct FolderSource {
  ModelPlaces places;
  std::optional<ModelFolder> model;  ///< with a transformer and a VAE

  /// @throws Error bad_file: see find_parts and ModelFolder::open
  static FolderSource open(const ModelSource& source);
};

/// A model folder in Diffusers' layout on its way: everything but the weights is in it from the
/// start, copied from where the parts lie or derived from what they are.
class DiffusersFolder {
 public:
  /// @param source  must outlive this
  /// @throws Error bad_file: `path` exists; not writable; a model's tokenizer is nowhere
  DiffusersFolder(const FolderSource& source, std::filesystem::path path);

  /// Where the weights of a part belong.
  std::filesystem::path weights_path(PartKind part) const;
  /// Gives the folder its name.
  /// @throws Error bad_file
  void commit() { folder_.commit(); }

 private:
  void write_part_files(PartKind part, const std::filesystem::path& path);
  void write_model_files(const ModelFolder& model);
  void write_tokenizer(const ModelFolder& model);
  void copy_tree(const std::filesystem::path& from, const std::filesystem::path& relative);
  void write(const std::filesystem::path& relative, const std::string& text);

  AtomicFolder folder_;
};

}  // namespace flux2
