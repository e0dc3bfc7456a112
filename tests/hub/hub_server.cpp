#include "hub_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string hex_digest(const std::string& bytes, const EVP_MD* algorithm) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, algorithm, nullptr);
  std::string text;
  for (unsigned int i = 0; i < size; ++i)
    text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string git_oid(const std::string& bytes) {
  return hex_digest(fmt::format("blob {}", bytes.size()) + '\0' + bytes, EVP_sha1());
}

std::string pointer_of(const std::string& sha256, std::size_t size) {
  return fmt::format("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", sha256,
                     size);
}

bool send_all(int socket, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = ::send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

// The next request head on a connection; nothing when it ends.
std::optional<SeenRequest> read_request(int socket, std::string& buffer) {
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    char bytes[4096];
    const ssize_t n = ::recv(socket, bytes, sizeof bytes, 0);
    if (n <= 0) return std::nullopt;
    buffer.append(bytes, static_cast<std::size_t>(n));
    constexpr char kTlsHandshake = 0x16;
    if (buffer.front() == kTlsHandshake) return std::nullopt;
  }
  SeenRequest request;
  const std::string head = buffer.substr(0, end);
  buffer.erase(0, end + 4);
  const std::size_t first = head.find(' ');
  const std::size_t second = head.find(' ', first + 1);
  request.method = head.substr(0, first);
  request.path = head.substr(first + 1, second - first - 1);
  std::size_t line = head.find("\r\n");
  while (line != std::string::npos) {
    const std::size_t next = head.find("\r\n", line + 2);
    const std::string text =
        head.substr(line + 2, next == std::string::npos ? next : next - line - 2);
    const std::size_t colon = text.find(": ");
    std::string name = text.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers[name] = text.substr(colon + 2);
    line = next;
  }
  return request;
}

// @return whether the connection may go on
bool send_answer(int socket, const SeenRequest& request, const ServedAnswer& answer) {
  std::string head = fmt::format("HTTP/1.1 {} Answer\r\n", answer.status);
  for (const auto& [name, value] : answer.headers)
    head += name + ": " + value + "\r\n";
  head +=
      fmt::format("Content-Length: {}\r\n\r\n", answer.claimed_length.value_or(answer.body.size()));
  if (!send_all(socket, head)) return false;
  if (request.method == "HEAD") return true;
  const std::size_t size = std::min(answer.body.size(), answer.cut_after.value_or(SIZE_MAX));
  return send_all(socket, answer.body.substr(0, size)) && !answer.cut_after &&
         answer.claimed_length.value_or(size) == size;
}

// What whoever runs the tests has set for the real hub.
void forget_environment() {
  for (const char* name :
       {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    ::unsetenv(name);
  ::setenv("no_proxy", "127.0.0.1,localhost", 1);
}

}  // namespace

std::string patterned(std::size_t count) {
  std::string bytes(count, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24U);
  }
  return bytes;
}

HubServer::HubServer(std::string repo) : repo_(std::move(repo)) {
  forget_environment();
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HubServer::~HubServer() {
  over_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_)
      ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_)
    thread.join();
  for (const int socket : sockets_)
    ::close(socket);
  ::close(listener_);
}

void HubServer::add(const std::string& path, std::string bytes, Kind kind) {
  File file = {std::move(bytes), kind, {}, {}};
  file.git_oid = git_oid(file.bytes);
  if (kind == Kind::large) {
    file.sha256 = hex_digest(file.bytes, EVP_sha256());
    file.git_oid = git_oid(pointer_of(file.sha256, file.bytes.size()));
  }
  files_[path] = std::move(file);
}

void HubServer::add_folder(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream stream(entry.path(), std::ios::binary);
    const bool large = entry.path().extension() == ".safetensors";
    add(entry.path().lexically_relative(folder).generic_string(),
        std::string(std::istreambuf_iterator<char>(stream), {}), large ? Kind::large : Kind::small);
  }
}

void HubServer::set_fault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

void HubServer::require_token(std::string token) {
  token_ = std::move(token);
}

std::string HubServer::endpoint() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::string HubServer::etag(const std::string& path) const {
  const File& file = files_.at(path);
  return file.kind == Kind::large ? file.sha256 : file.git_oid;
}

std::vector<SeenRequest> HubServer::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

int HubServer::count(const std::string& method, const std::string& part) const {
  int count = 0;
  for (const SeenRequest& request : seen())
    count += request.method == method && request.has(part) ? 1 : 0;
  return count;
}

void HubServer::accept_all() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    // Head and body leave at once: no waiting for the other side's delayed acknowledgement.
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void HubServer::serve(int socket) {
  std::string buffer;
  while (!over_) {
    std::optional<SeenRequest> request = read_request(socket, buffer);
    if (!request) break;
    ServedAnswer reply;
    {
      const std::lock_guard lock(mutex_);
      request->number = static_cast<int>(seen_.size());
      seen_.push_back(*request);
      reply = answer(*request);
      if (fault_) fault_(*request, reply);
    }
    if (!send_answer(socket, *request, reply)) break;
  }
  ::shutdown(socket, SHUT_RDWR);
}

ServedAnswer HubServer::answer(const SeenRequest& request) {
  if (request.has("/storage/")) return answer_storage(request);
  const auto sent = request.headers.find("authorization");
  const bool may_read =
      token_.empty() || (sent != request.headers.end() && sent->second == "Bearer " + token_);
  if (!may_read) return {.status = 401, .headers = {{"X-Error-Code", "RepoNotFound"}}};
  return request.path.starts_with("/api/") ? answer_api(request) : answer_file(request);
}

ServedAnswer HubServer::answer_api(const SeenRequest& request) const {
  ServedAnswer answer;
  answer.headers = {{"Content-Type", "application/json; charset=utf-8"}};
  const std::string prefix = "/api/models/" + repo_;
  if (request.path == prefix + "/revision/main" ||
      request.path == prefix + "/revision/" + commit_) {
    answer.body = Json({{"id", repo_}, {"sha", commit_}}).dump();
  } else if (request.path.starts_with(prefix + "/tree/" + commit_)) {
    answer.body = listing();
  } else {
    const bool revision = request.path.starts_with(prefix + "/");
    answer.status = 404;
    answer.headers.emplace_back("X-Error-Code", revision ? "RevisionNotFound" : "RepoNotFound");
  }
  return answer;
}

std::string HubServer::listing() const {
  Json entries = Json::array();
  entries.push_back({{"type", "directory"}, {"oid", git_oid("")}, {"size", 0}, {"path", "vae"}});
  for (const auto& [path, file] : files_) {
    Json entry = {
        {"type", "file"}, {"oid", file.git_oid}, {"size", file.bytes.size()}, {"path", path}};
    if (file.kind == Kind::large) {
      entry["lfs"] = {{"oid", file.sha256},
                      {"size", file.bytes.size()},
                      {"pointerSize", pointer_of(file.sha256, file.bytes.size()).size()}};
    }
    entries.push_back(std::move(entry));
  }
  return entries.dump();
}

// /ORG/NAME/resolve/REVISION/PATH
ServedAnswer HubServer::answer_file(const SeenRequest& request) const {
  ServedAnswer answer;
  answer.headers = {{"X-Repo-Commit", commit_}};
  const std::string prefix = "/" + repo_ + "/resolve/";
  const std::size_t begin = request.path.find('/', prefix.size());
  const bool known = request.path.starts_with(prefix) && begin != std::string::npos;
  const auto file = known ? files_.find(request.path.substr(begin + 1)) : files_.end();
  if (file == files_.end()) {
    answer.status = 404;
    answer.headers.emplace_back("X-Error-Code", "EntryNotFound");
    return answer;
  }
  if (file->second.kind == Kind::large) {
    answer.status = 302;
    answer.headers.emplace_back("X-Linked-Size", std::to_string(file->second.bytes.size()));
    answer.headers.emplace_back("X-Linked-ETag", '"' + file->second.sha256 + '"');
    answer.headers.emplace_back("ETag", "\"of the pointer\"");
    answer.headers.emplace_back(
        "Location",
        fmt::format("http://localhost:{}/storage/{}?signature=1", port_, file->second.sha256));
    return answer;
  }
  answer.headers.emplace_back("ETag", '"' + file->second.git_oid + '"');
  ServedAnswer ranged = answer_storage({.method = request.method,
                                        .path = "/storage/" + file->second.git_oid,
                                        .headers = request.headers});
  ranged.headers.insert(ranged.headers.end(), answer.headers.begin(), answer.headers.end());
  return ranged;
}

ServedAnswer HubServer::answer_storage(const SeenRequest& request) const {
  ServedAnswer answer;
  for (const auto& [path, file] : files_) {
    if (!request.has("/storage/" + etag(path))) continue;
    answer.body = file.bytes;
    const auto range = request.headers.find("range");
    std::size_t first = 0;
    std::size_t last = 0;
    if (range != request.headers.end() &&
        std::sscanf(range->second.c_str(), "bytes=%zu-%zu", &first, &last) == 2 &&
        first < file.bytes.size()) {
      last = std::min(last, file.bytes.size() - 1);
      answer.status = 206;
      answer.body = file.bytes.substr(first, last - first + 1);
      answer.headers.emplace_back("Content-Range",
                                  fmt::format("bytes {}-{}/{}", first, last, file.bytes.size()));
    }
    return answer;
  }
  answer.status = 403;
  return answer;
}

}  // namespace flux2
