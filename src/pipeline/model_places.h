#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "checkpoint/namings.h"
#include "flux2/model.h"

namespace flux2 {

/// Where the parts of a model are, before any of them is opened.
struct ModelPlaces {
  std::filesystem::path path;                       ///< MODEL, else the transformer's
  std::map<PartKind, std::filesystem::path> parts;  ///< folder or file of each
  std::filesystem::path tokenizer;                  ///< empty: to be found with the text encoder
  /// The folder with the model_index.json that the transformer belongs to; empty: none.
  std::filesystem::path pipeline_folder;
  /// Where flux2.json may be: the transformer's own home.
  std::filesystem::path home;
};

/// Finds the parts of `source`. A folder with a model_index.json holds them in its subfolders; in
/// any other one its files are told apart by the names of their tensors.
/// @throws Error bad_file: nothing there; two files for one part; no transformer or no VAE
ModelPlaces find_places(const ModelSource& source);

/// The same where the parts need not be a whole model: `source` may also be the folder of one part
/// or an index.
/// @throws Error bad_file: nothing of FLUX.2 there; says what it is instead
ModelPlaces find_parts(const ModelSource& source);

/// The folder with the model_index.json that a transformer at `path` was saved with; empty where it
/// lies alone.
std::filesystem::path pipeline_folder_of(const std::filesystem::path& transformer);

/// The folder that `part` is in: itself, or that of the file.
std::filesystem::path folder_of(const std::filesystem::path& part);

}  // namespace flux2
