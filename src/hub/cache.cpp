#include "hub/cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "models--";
constexpr const char* kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of files from the Hugging Face Hub: backups may skip it.\n"
    "# See https://bford.info/cachedir/\n";

std::string folder_of(const std::string& repo_id) {
  const std::size_t slash = repo_id.find('/');
  return fmt::format("{}{}--{}", kPrefix, repo_id.substr(0, slash), repo_id.substr(slash + 1));
}

std::optional<std::string> repo_of_folder(const std::string& folder) {
  if (!folder.starts_with(kPrefix)) return std::nullopt;
  const std::string id = folder.substr(std::string(kPrefix).size());
  const std::size_t split = id.find("--");
  if (split == std::string::npos) return std::nullopt;
  const auto name =
      parse_repo_name(fmt::format("{}/{}", id.substr(0, split), id.substr(split + 2)));
  return name ? std::optional(name->id) : std::nullopt;
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return;
  throw Error(ErrorCode::bad_file, fmt::format("cannot create the folder: {}", error.message()),
              path.string(), "HF_HUB_CACHE names another folder for downloads");
}

std::optional<std::string> read_small(const fs::path& path, std::size_t most) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || fs::file_size(path, ignored) > most) {
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void write_text(const fs::path& path, const std::string& text) {
  write_file(path, std::as_bytes(std::span(text)));
}

// Files below `folder`, links followed, with their paths from there.
std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (fs::recursive_directory_iterator entry(folder, ignored), end; entry != end;
       entry.increment(ignored)) {
    if (entry->is_regular_file(ignored)) {
      files.push_back(entry->path().lexically_relative(folder).generic_string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored))
    names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

RepoCache::RepoCache(fs::path cache, std::string repo_id)
    : cache_(std::move(cache)),
      repo_id_(std::move(repo_id)),
      folder_(cache_ / folder_of(repo_id_)) {}

fs::path RepoCache::blob(const std::string& etag) const {
  return folder_ / "blobs" / etag;
}

fs::path RepoCache::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}

fs::path RepoCache::lock(const std::string& etag) const {
  return cache_ / ".locks" / folder_of(repo_id_) / (etag + ".lock");
}

std::optional<std::string> RepoCache::commit_of(const std::string& revision) const {
  constexpr std::size_t kMaxRef = 64;
  std::error_code ignored;
  std::string commit = revision;
  if (!is_commit(revision)) {
    const auto text = read_small(folder_ / "refs" / revision, kMaxRef);
    if (!text) return std::nullopt;
    commit = text->substr(0, text->find_last_not_of(" \r\n") + 1);
  }
  if (!is_commit(commit) || !fs::is_directory(snapshot(commit), ignored)) return std::nullopt;
  return commit;
}

bool RepoCache::has(const std::string& commit, const std::string& path) const {
  std::error_code ignored;
  return fs::is_regular_file(snapshot(commit) / path, ignored);
}

std::vector<std::string> RepoCache::files_of(const std::string& commit) const {
  return files_below(snapshot(commit));
}

std::optional<std::vector<std::string>> RepoCache::listed_files_of(
    const std::string& commit) const {
  constexpr std::size_t kMaxListing = std::size_t{64} << 20;
  using Json = nlohmann::json;
  const auto text = read_small(folder_ / "trees" / (commit + ".json"), kMaxListing);
  if (!text) return std::nullopt;
  const Json listing = Json::parse(*text, nullptr, false);
  if (!listing.is_object() || listing.value("format_version", Json()) != 1) return std::nullopt;
  const auto files = listing.find("files");
  if (files == listing.end() || !files->is_object()) return std::nullopt;
  std::vector<std::string> names;
  for (const auto& [name, entry] : files->items())
    names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

void RepoCache::make_folders(const std::string& commit, const std::string& path) const {
  make_folder(folder_ / "blobs");
  make_folder((snapshot(commit) / path).parent_path());
  make_folder(lock("").parent_path());
  std::error_code ignored;
  const fs::path tag = cache_ / "CACHEDIR.TAG";
  if (!fs::exists(tag, ignored)) write_text(tag, kTag);
}

void RepoCache::link(const std::string& commit, const std::string& path,
                     const std::string& etag) const {
  const fs::path pointer = snapshot(commit) / path;
  const fs::path target = blob(etag).lexically_relative(pointer.parent_path());
  const fs::path fresh = pointer.parent_path() / fmt::format(".{}.{}.link", etag, getpid());
  std::error_code error;
  fs::remove(fresh, error);
  fs::create_symlink(target, fresh, error);
  if (!error) fs::rename(fresh, pointer, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove(fresh, ignored);
  throw Error(ErrorCode::bad_file, fmt::format("cannot make a symbolic link: {}", error.message()),
              pointer.string(),
              "the cache needs a file system that has them: name another folder in HF_HUB_CACHE");
}

void RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  constexpr std::size_t kMaxRef = 64;
  if (read_small(path, kMaxRef) == commit) return;
  make_folder(path.parent_path());
  write_text(path, commit);
}

std::vector<std::string> cached_repos(const fs::path& cache) {
  std::vector<std::string> repos;
  for (const std::string& name : names_in(cache)) {
    if (const auto repo = repo_of_folder(name)) repos.push_back(*repo);
  }
  return repos;
}

std::vector<RepoName> cached_revisions(const fs::path& cache, const std::string& repo_id) {
  const RepoCache repo(cache, repo_id);
  std::vector<RepoName> revisions;
  std::set<std::string> named;
  for (const std::string& ref : files_below(repo.folder() / "refs")) {
    const auto commit = is_revision(ref) ? repo.commit_of(ref) : std::nullopt;
    if (!commit) continue;
    revisions.push_back({repo_id, ref});
    named.insert(*commit);
  }
  for (const std::string& commit : names_in(repo.folder() / "snapshots")) {
    if (is_commit(commit) && !named.contains(commit)) revisions.push_back({repo_id, commit});
  }
  return revisions;
}

std::optional<std::string> repo_of_snapshot(const fs::path& path) {
  const fs::path full = fs::absolute(path).lexically_normal();
  const fs::path snapshots = full.parent_path();
  if (!is_commit(full.filename().string()) || snapshots.filename() != "snapshots") {
    return std::nullopt;
  }
  return repo_of_folder(snapshots.parent_path().filename().string());
}

}  // namespace flux2
