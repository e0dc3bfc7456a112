#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace flux2 {

/// A request as the server saw it.
struct SeenRequest {
  std::string method;
  std::string path;                            ///< with what stands after "?"
  std::map<std::string, std::string> headers;  ///< names in lower case
  int number = 0;                              ///< of all requests, from 0

  bool has(const std::string& part) const { return path.find(part) != std::string::npos; }
};

/// An answer; tests change it to what can go wrong.
struct ServedAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::optional<std::size_t> cut_after = {};       ///< the connection breaks after these body bytes
  std::optional<std::size_t> claimed_length = {};  ///< Content-Length, if not the body's
};

/// A server on 127.0.0.1 that behaves like the Hugging Face Hub for one repository: revisions, file
/// listings, resolve with X-Repo-Commit, ETag, X-Linked-*, large files redirected to another host
/// ("localhost" with a signature), ranges.
class HubServer {
 public:
  using Fault = std::function<void(const SeenRequest&, ServedAnswer&)>;

  explicit HubServer(std::string repo = "org/model");
  ~HubServer();
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  /// Adds a file; large ones (LFS) are named by SHA-256 and lie on the other host.
  enum class Kind { small, large };
  void add(const std::string& path, std::string bytes, Kind kind = Kind::small);
  /// Adds all files of a folder, weights as large ones.
  void add_folder(const std::filesystem::path& folder);
  /// Changes answers before they are sent. Called by several threads, one at a time.
  void set_fault(Fault fault);
  /// Only this token may read.
  void require_token(std::string token);

  std::string endpoint() const;
  const std::string& commit() const { return commit_; }
  void set_commit(std::string commit) { commit_ = std::move(commit); }
  std::string etag(const std::string& path) const;
  std::vector<SeenRequest> seen() const;
  int count(const std::string& method, const std::string& part) const;

 private:
  struct File {
    std::string bytes;
    Kind kind;
    std::string git_oid;
    std::string sha256;
  };

  void accept_all();
  void serve(int socket);
  ServedAnswer answer(const SeenRequest& request);
  ServedAnswer answer_api(const SeenRequest& request) const;
  ServedAnswer answer_file(const SeenRequest& request) const;
  ServedAnswer answer_storage(const SeenRequest& request) const;
  std::string listing() const;

  std::string repo_;
  std::string commit_ = "0123456789abcdef0123456789abcdef01234567";
  std::map<std::string, File> files_;
  std::string token_;
  Fault fault_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;  // one a connection
  std::thread acceptor_;
  std::atomic<bool> over_ = false;
};

/// `count` bytes that look random and are always the same.
std::string patterned(std::size_t count);

}  // namespace flux2
