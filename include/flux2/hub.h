#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// Whether the Hugging Face Hub is asked for a model that the cache may hold already.
enum class HubAccess {
  cached,   ///< what the cache holds, if it is complete; the hub otherwise
  refresh,  ///< the hub says what the revision is now; what is there is not loaded again
  offline,  ///< the cache alone; also where HF_HUB_OFFLINE is set
};

/// How far a pull is.
struct PullProgress {
  std::int64_t done = 0;      ///< bytes that are there, of all that were missing
  std::int64_t total = 0;     ///< 0 while it is not known
  std::int64_t received = 0;  ///< bytes that came over the network
  int files_done = 0;         ///< of those that were missing
  int files = 0;              ///< that were missing
  double seconds = 0;         ///< since the pull began
};

/// How a model is brought from the hub.
struct PullOptions {
  /// Branch, tag or commit; empty: what stands after "@" in the name, else "main".
  std::string revision = {};
  HubAccess access = HubAccess::refresh;  ///< whether the hub is asked
  /// "transformer", "text_encoder", "vae", "tokenizer", "scheduler"; empty: all of them.
  std::vector<std::string> parts = {};
  /// Patterns of paths in the repository with * ? [...], where "*" matches "/" too
  /// ("*.gguf", "vae/*"): these files instead of a model's. Not together with `parts`.
  std::vector<std::string> include = {};
  std::filesystem::path cache_dir = {};   ///< empty: HF_HUB_CACHE, else HF_HOME/hub, ...
  std::optional<std::string> token = {};  ///< unset: HF_TOKEN or the token file; "": none
  std::string endpoint = {};              ///< empty: HF_ENDPOINT, else https://huggingface.co
  int connections = 8;                    ///< 1 to 64 at the same time
  /// Called in the caller's thread, about ten times a second while files come.
  std::function<void(const PullProgress&)> progress = {};
  std::stop_token stop = {};  ///< ends the pull soon; what came stays for the next one
};

/// What a pull brought.
struct PulledModel {
  std::string repo;            ///< "org/name"
  std::string revision;        ///< that was asked for
  std::string commit;          ///< what it is
  std::filesystem::path path;  ///< the snapshot: a folder in Diffusers layout unless files were
                               ///< chosen by `include`
  int files = 0;               ///< that were missing
  std::int64_t bytes = 0;      ///< received; 0 if all was there
};

/// Brings a model of the Hugging Face Hub into the cache that huggingface_hub and Diffusers use,
/// and only the files that are needed: model_index.json, configs, tokenizer, scheduler and the
/// weights that would be loaded. Pieces of files come in parallel, an interrupted pull goes on
/// where it was, and a file is used only once its length and SHA-256 are right. Processes that
/// pull the same wait for each other.
/// @param repo     "org/name" or "org/name@revision"
/// @param options  what of it, from where, and who is told
/// @throws Error invalid_request: not such a name, an unknown part, contradicting options
/// @throws Error bad_file: not in the cache (offline), no such repository or revision, a licence
///         that is not accepted, no space, no connection, damaged files; the hint says what to do
/// @throws Error cancelled: a stop was requested
PulledModel pull(const std::string& repo, const PullOptions& options = {});

/// Whether MODEL of the command line is taken for a repository of the hub: "org/name" or
/// "org/name@revision", and no path of that name exists.
bool names_repository(const std::string& model);

/// A model in the cache.
struct CachedModel {
  std::string repo;            ///< "org/name"
  std::string revision;        ///< branch or tag; a commit that has neither
  std::filesystem::path path;  ///< the snapshot
  std::int64_t bytes = 0;      ///< of its files
  std::string missing;         ///< a file that a model needs and that is not there; empty: complete
};

/// The FLUX.2 models that the cache holds, complete or not, sorted by name.
/// @param cache_dir  empty: where `pull` would put them
std::vector<CachedModel> cached_models(const std::filesystem::path& cache_dir = {});

}  // namespace flux2
