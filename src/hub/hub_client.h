#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/http.h"
#include "hub/patience.h"
#include "hub/refusal.h"
#include "hub/repo_name.h"
#include "hub/settings.h"

namespace flux2 {

/// A file of a repository as its listing has it.
struct HubFile {
  std::string path;  ///< "transformer/config.json"
  std::int64_t size = 0;
  std::string git_oid;  ///< SHA-1 of git's blob object; of the pointer where there is a sha256
  std::string sha256;   ///< of the bytes, for large files (LFS); else empty
};

/// Where the bytes of a file are and how the cache names them.
struct FileLocation {
  std::string url;   ///< signed and short-lived where it leads to another host
  std::string etag;  ///< name of the blob
};

/// The hub's HTTP interface, over one connection of one thread. Redirects are followed by hand:
/// the token goes to the hub alone, never to the storage that it redirects to.
class HubClient {
 public:
  HubClient(const HubSettings& settings, std::stop_token stop);

  /// The commit that a revision is now.
  /// @throws Error bad_file: no such repository or revision, no access, no connection, ...
  std::string commit_of(const RepoName& repo);
  /// All files of a commit.
  std::vector<HubFile> files_of(const RepoName& repo, const std::string& commit);
  /// Asks for a file's headers: X-Repo-Commit, X-Linked-Etag, X-Linked-Size, Location.
  FileLocation locate(const RepoName& repo, const std::string& commit, const HubFile& file);
  /// One try to read bytes first to last of what `locate` gave.
  HttpResponse fetch(const std::string& url, std::int64_t first, std::int64_t last,
                     const BodySink& sink);

  Asked asked(const RepoName& repo, const std::string& file = {}) const;

 private:
  enum class Redirects { all, within_hub };

  HttpResponse follow(HttpRequest request, Redirects redirects, const BodySink& sink);
  HttpResponse ask(const HttpRequest& request, Redirects redirects, const Asked& asked);
  bool is_hub(const std::string& url) const;

  HubSettings settings_;
  std::stop_token stop_;
  Http http_;
  std::vector<std::string> hub_origins_;
  bool reached_ = false;  // a hub that never answered is not waited for
};

}  // namespace flux2
