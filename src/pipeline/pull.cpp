#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <chrono>

#include "checkpoint/model_index.h"
#include "flux2/error.h"
#include "flux2/hub.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/hub_client.h"
#include "hub/settings.h"
#include "pipeline/model_files.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kMaxConnections = 64;

HubSettings settings_of(const PullOptions& options) {
  HubSettings settings = read_hub_settings();
  if (!options.cache_dir.empty()) settings.cache = options.cache_dir;
  if (!options.endpoint.empty()) settings.endpoint = clean_endpoint(options.endpoint);
  if (options.token) settings.token = clean_token(*options.token, "token");
  if (options.access == HubAccess::offline) settings.network = HubSettings::Network::forbidden;
  if (options.connections < 1 || options.connections > kMaxConnections) {
    throw Error(ErrorCode::invalid_request,
                fmt::format("{} is not from 1 to {}", options.connections, kMaxConnections),
                "connections");
  }
  settings.connections = options.connections;
  return settings;
}

RepoName name_of(const std::string& repo, const PullOptions& options) {
  auto name = parse_repo_name(repo);
  if (!name) {
    throw Error(ErrorCode::invalid_request, "this is not the name of a repository",
                on_one_line(repo),
                "names look like black-forest-labs/FLUX.2-klein-4B or, with a "
                "revision, org/name@revision");
  }
  if (!options.revision.empty()) name->revision = options.revision;
  if (is_revision(name->revision)) return *name;
  throw Error(ErrorCode::invalid_request, "this is not the name of a revision",
              on_one_line(name->revision), "a branch, a tag or a commit; the usual one is main");
}

bool matches(const std::string& path, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return fnmatch(pattern.c_str(), path.c_str(), FNM_NOESCAPE) == 0;
  });
}

std::vector<std::string> paths_of(const std::vector<HubFile>& files) {
  std::vector<std::string> paths;
  for (const HubFile& file : files)
    paths.push_back(file.path);
  return paths;
}

// What a repository offers that is not in Diffusers layout, for a hint.
std::string single_files(const std::vector<std::string>& paths) {
  constexpr std::size_t kShown = 4;
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    const bool weights = path.ends_with(".safetensors") || path.ends_with(".gguf");
    if (weights && names.size() < kShown) names.push_back(on_one_line(path));
  }
  return names.empty() ? "name a repository in Diffusers layout"
                       : fmt::format("it holds {}: choose by --include", fmt::join(names, ", "));
}

class Pull {
 public:
  Pull(const std::string& repo, const PullOptions& options)
      : options_(options),
        settings_(settings_of(options)),
        name_(name_of(repo, options)),
        cache_(settings_.cache, name_.id) {
    if (!options.include.empty() && !options.parts.empty()) {
      throw Error(ErrorCode::invalid_request, "choose by parts or by patterns, not by both",
                  "include");
    }
    const ModelFiles check({}, options.parts);
  }

  PulledModel run() {
    const bool offline = settings_.network == HubSettings::Network::forbidden;
    if (offline || options_.access == HubAccess::cached) {
      const auto commit = cache_.commit_of(name_.revision);
      const auto missing = commit ? missing_of(*commit) : std::optional<std::string>("");
      if (!missing) return result(*commit, {});
      if (offline) refuse_offline(*missing);
    }
    if (options_.access == HubAccess::refresh) return from_hub();
    try {
      return from_hub();
    } catch (const Error& error) {
      // Who mistyped a folder did not mean the hub.
      if (error.code() != ErrorCode::bad_file) throw;
      throw Error(error.code(), error.message(), error.where(),
                  fmt::format("{}; there is no folder {} here either", error.hint(), name_.id));
    }
  }

 private:
  // A file of the cached snapshot that is not there; nothing if it is complete.
  std::optional<std::string> missing_of(const std::string& commit) const {
    const std::vector<std::string> there = cache_.files_of(commit);
    if (!options_.include.empty()) {
      const auto listed = cache_.listed_files_of(commit);
      for (const std::string& path : listed.value_or(there)) {
        if (matches(path, options_.include) && !cache_.has(commit, path)) return path;
      }
      const bool some = std::any_of(there.begin(), there.end(), [&](const std::string& path) {
        return matches(path, options_.include);
      });
      return some ? std::nullopt : std::optional(fmt::format("{}", options_.include.front()));
    }
    return missing_from({.snapshot = cache_.snapshot(commit),
                         .there = there,
                         .listed = cache_.listed_files_of(commit),
                         .parts = options_.parts});
  }

  [[noreturn]] void refuse_offline(const std::string& missing) const {
    const std::string what =
        missing.empty()
            ? fmt::format("revision {} is not in the cache {}", name_.revision,
                          settings_.cache.string())
            : fmt::format("is not complete in the cache: {} is missing", on_one_line(missing));
    throw Error(ErrorCode::bad_file, what, name_.id,
                options_.access == HubAccess::offline
                    ? "allow the network, or pull it first"
                    : "HF_HUB_OFFLINE is set: unset it, or pull it first");
  }

  PulledModel from_hub() {
    report({});
    HubClient client(settings_, options_.stop);
    const std::string commit = client.commit_of(name_);
    const std::vector<HubFile> files = client.files_of(name_, commit);
    const std::vector<std::string> paths = paths_of(files);
    DownloadProgress all;
    if (!options_.include.empty()) {
      all = bring(commit, files, chosen(paths));
    } else {
      const ModelFiles model(paths, options_.parts);
      check_layout(model, paths);
      all = bring(commit, files, model.small());
      // Nothing large comes for a model that cannot be drawn with.
      read_model_index(cache_.snapshot(commit));
      const DownloadProgress more = bring(commit, files, model.weights(cache_.snapshot(commit)));
      all.files += more.files;
      all.received += more.received;
    }
    cache_.write_ref(name_.revision, commit);
    return result(commit, all);
  }

  std::vector<std::string> chosen(const std::vector<std::string>& paths) const {
    std::vector<std::string> result;
    for (const std::string& path : paths) {
      if (matches(path, options_.include)) result.push_back(path);
    }
    if (!result.empty()) return result;
    throw Error(ErrorCode::bad_file,
                fmt::format("no file matches {}", fmt::join(options_.include, ", ")), name_.id,
                single_files(paths));
  }

  void check_layout(const ModelFiles& model, const std::vector<std::string>& paths) const {
    const auto missing = model.missing();
    if (!missing) return;
    throw Error(ErrorCode::bad_file,
                fmt::format("is not a model in Diffusers layout: there is no {}", *missing),
                name_.id, single_files(paths));
  }

  DownloadProgress bring(const std::string& commit, const std::vector<HubFile>& files,
                         const std::vector<std::string>& paths) {
    std::vector<HubFile> wanted;
    for (const std::string& path : paths) {
      const auto file =
          std::lower_bound(files.begin(), files.end(), path,
                           [](const HubFile& a, const std::string& b) { return a.path < b; });
      if (file == files.end() || file->path != path) {
        throw Error(ErrorCode::bad_file, "an index names it, and the repository does not hold it",
                    name_.id + "/" + on_one_line(path), "the repository is incomplete");
      }
      wanted.push_back(*file);
    }
    return download({.settings = settings_,
                     .repo = name_,
                     .commit = commit,
                     .files = std::move(wanted),
                     .progress = [this](const DownloadProgress& now) { report(now); },
                     .stop = options_.stop});
  }

  void report(const DownloadProgress& now) const {
    if (options_.stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
    if (!options_.progress) return;
    options_.progress({.done = now.done,
                       .total = now.total,
                       .received = now.received,
                       .files_done = now.files_done,
                       .files = now.files,
                       .seconds = std::chrono::duration<double>(Clock::now() - begun_).count()});
  }

  PulledModel result(const std::string& commit, const DownloadProgress& all) const {
    return {.repo = name_.id,
            .revision = name_.revision,
            .commit = commit,
            .path = cache_.snapshot(commit),
            .files = all.files,
            .bytes = all.received};
  }

  const PullOptions& options_;
  HubSettings settings_;
  RepoName name_;
  RepoCache cache_;
  Clock::time_point begun_ = Clock::now();
};

bool is_flux2(const fs::path& snapshot) {
  try {
    return read_model_index(snapshot).class_name.starts_with("Flux2");
  } catch (const Error&) {
    return false;
  }
}

// A damaged index counts as missing: pulling brings it again.
std::string missing_in(const RepoCache& cache, const std::string& commit) {
  try {
    return missing_from({.snapshot = cache.snapshot(commit),
                         .there = cache.files_of(commit),
                         .listed = cache.listed_files_of(commit),
                         .parts = {}})
        .value_or("");
  } catch (const Error& error) {
    return error.where();
  }
}

std::int64_t bytes_in(const fs::path& snapshot, const std::vector<std::string>& files) {
  std::int64_t bytes = 0;
  std::error_code error;
  for (const std::string& path : files) {
    const auto size = fs::file_size(snapshot / path, error);
    if (!error) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

}  // namespace

PulledModel pull(const std::string& repo, const PullOptions& options) {
  return Pull(repo, options).run();
}

bool names_repository(const std::string& model) {
  std::error_code ignored;
  return parse_repo_name(model) && !fs::exists(model, ignored);
}

std::vector<CachedModel> cached_models(const fs::path& cache_dir) {
  const fs::path folder = cache_dir.empty() ? read_hub_settings().cache : cache_dir;
  std::vector<CachedModel> models;
  for (const std::string& repo : cached_repos(folder)) {
    const RepoCache cache(folder, repo);
    for (const RepoName& name : cached_revisions(folder, repo)) {
      const auto commit = cache.commit_of(name.revision);
      if (!commit || !is_flux2(cache.snapshot(*commit))) continue;
      models.push_back({.repo = repo,
                        .revision = name.revision,
                        .path = cache.snapshot(*commit),
                        .bytes = bytes_in(cache.snapshot(*commit), cache.files_of(*commit)),
                        .missing = missing_in(cache, *commit)});
    }
  }
  return models;
}

}  // namespace flux2
