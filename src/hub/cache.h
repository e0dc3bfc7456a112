#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/repo_name.h"

namespace flux2 {

/// One repository in the cache of huggingface_hub:
///
///   CACHE/models--org--name/blobs/ETAG              the bytes
///                           refs/REVISION           a commit
///                           snapshots/COMMIT/PATH   symbolic links to blobs
///   CACHE/.locks/models--org--name/ETAG.lock
class RepoCache {
 public:
  RepoCache(std::filesystem::path cache, std::string repo_id);

  std::filesystem::path blob(const std::string& etag) const;
  std::filesystem::path snapshot(const std::string& commit) const;
  std::filesystem::path lock(const std::string& etag) const;

  /// The commit that `revision` was when it was last downloaded, if it was and that snapshot is
  /// there.
  std::optional<std::string> commit_of(const std::string& revision) const;
  bool has(const std::string& commit, const std::string& path) const;
  /// The files of a snapshot, "transformer/config.json", sorted.
  std::vector<std::string> files_of(const std::string& commit) const;
  /// All that the hub lists for a commit, if huggingface_hub left its listing
  /// (trees/COMMIT.json). This library leaves none: with one, snapshot_download() without patterns
  /// would miss what no model needs.
  std::optional<std::vector<std::string>> listed_files_of(const std::string& commit) const;

  /// Makes the folders that a file needs, and the tag that tells backups to skip the cache.
  void make_folders(const std::string& commit, const std::string& path) const;
  /// Lets `path` of a snapshot be a blob, by a relative symbolic link that appears at once.
  void link(const std::string& commit, const std::string& path, const std::string& etag) const;
  /// Notes what a branch or tag is now.
  void write_ref(const std::string& revision, const std::string& commit) const;

  const std::filesystem::path& folder() const { return folder_; }
  const std::string& repo_id() const { return repo_id_; }

 private:
  std::filesystem::path cache_;
  std::string repo_id_;
  std::filesystem::path folder_;
};

/// The repositories of models in a cache, sorted.
std::vector<std::string> cached_repos(const std::filesystem::path& cache);
/// The revisions of a repository that the cache knows: those of refs/, else bare commits.
std::vector<RepoName> cached_revisions(const std::filesystem::path& cache,
                                       const std::string& repo_id);
/// "org/name" of CACHE/models--org--name/snapshots/COMMIT; nothing for another kind of path.
std::optional<std::string> repo_of_snapshot(const std::filesystem::path& path);

}  // namespace flux2
