#include "hub/hub_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "flux2/error.h"
#include "hub/listing.h"
#include "hub/url.h"

namespace flux2 {
namespace {

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxFiles = 100'000;
constexpr const char* kNoHub =
    "check HF_ENDPOINT, and whether a proxy or a login page of the network is in between";

// W/"abc" and "abc" are both abc.
std::string bare_etag(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  const std::size_t begin = etag.find_first_not_of('"');
  if (begin == std::string::npos) return {};
  return etag.substr(begin, etag.find_last_not_of('"') + 1 - begin);
}

const std::string* first_header(const HttpResponse& response,
                                std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const std::string* value = response.header(name);
    if (value != nullptr && !value->empty()) return value;
  }
  return nullptr;
}

void check_headers(const HttpResponse& response, const Asked& asked, const std::string& commit,
                   const HubFile& file) {
  const auto refuse_file = [&](const std::string& what, const char* hint) {
    throw Error(ErrorCode::bad_file, what, asked.repo + "/" + file.path, hint);
  };
  const std::string* of_commit = response.header("x-repo-commit");
  if (of_commit == nullptr) {
    refuse_file(fmt::format("{} does not answer like a hub: X-Repo-Commit is missing",
                            host_of(response.url)),
                kNoHub);
  } else if (*of_commit != commit) {
    refuse_file(fmt::format("is of commit {}, not {}", on_one_line(*of_commit), commit), kNoHub);
  }
  const std::string* size = response.header("x-linked-size");
  if (size == nullptr && !response.is_redirect()) size = response.header("content-length");
  if (size != nullptr && *size != std::to_string(file.size)) {
    refuse_file(fmt::format("is {} bytes long by its headers and {} by the listing",
                            on_one_line(*size), file.size),
                "a proxy may have changed it: try again");
  }
}

}  // namespace

HubClient::HubClient(const HubSettings& settings, std::stop_token stop)
    : settings_(settings),
      stop_(std::move(stop)),
      http_(settings_, stop_),
      hub_origins_{origin_of(settings.endpoint), origin_of("https://huggingface.co"),
                   origin_of("https://hf.co")} {
  if (hub_origins_.front().empty()) {
    throw Error(ErrorCode::invalid_request, "this is not the address of a hub", settings.endpoint,
                "HF_ENDPOINT looks like https://huggingface.co");
  }
}

Asked HubClient::asked(const RepoName& repo, const std::string& file) const {
  return {.repo = repo.id,
          .revision = repo.revision,
          .file = file,
          .as = settings_.token ? Asked::As::token_owner : Asked::As::nobody};
}

bool HubClient::is_hub(const std::string& url) const {
  return std::find(hub_origins_.begin(), hub_origins_.end(), origin_of(url)) != hub_origins_.end();
}

HttpResponse HubClient::follow(HttpRequest request, Redirects redirects, const BodySink& sink) {
  HttpResponse response;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    request.token = is_hub(request.url) ? settings_.token : std::nullopt;
    response = http_.exchange(request, sink);
    const std::string* location = response.header("location");
    if (!response.is_redirect() || location == nullptr) return response;
    const std::string target = join_url(request.url, *location);
    if (redirects == Redirects::within_hub && !is_hub(target)) return response;
    request.url = target;
  }
  response.failure =
      HttpFailure{HttpFailure::Kind::refused,
                  fmt::format("{} redirects in circles", host_of(request.url)), kNoHub};
  return response;
}

HttpResponse HubClient::ask(const HttpRequest& request, Redirects redirects, const Asked& asked) {
  Patience patience(settings_, stop_);
  while (true) {
    HttpResponse response = follow(request, redirects, {});
    const bool unreachable =
        response.failure && response.failure->kind == HttpFailure::Kind::unreachable;
    reached_ = reached_ || !unreachable;
    if (response.ok() || (redirects == Redirects::within_hub && response.is_redirect())) {
      return response;
    }
    if (!reached_ || !patience.try_again(response)) refuse(response, asked);
  }
}

std::string HubClient::commit_of(const RepoName& repo) {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}", settings_.endpoint, repo.id,
                                      quote_step(repo.revision));
  return parse_commit(ask({.url = url, .token = {}, .range = {}}, Redirects::all, asked(repo)),
                      asked(repo));
}

std::vector<HubFile> HubClient::files_of(const RepoName& repo, const std::string& commit) {
  std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=True&expand=False",
                                settings_.endpoint, repo.id, commit);
  std::vector<HubFile> files;
  while (!url.empty()) {
    const HttpResponse response =
        ask({.url = url, .token = {}, .range = {}}, Redirects::all, asked(repo));
    const std::vector<HubFile> more = parse_files(response, asked(repo));
    files.insert(files.end(), more.begin(), more.end());
    url = more.empty() || files.size() > kMaxFiles ? "" : next_page(response);
  }
  std::sort(files.begin(), files.end(),
            [](const HubFile& a, const HubFile& b) { return a.path < b.path; });
  return files;
}

FileLocation HubClient::locate(const RepoName& repo, const std::string& commit,
                               const HubFile& file) {
  const std::string url = fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, repo.id, commit,
                                      quote_path(file.path));
  const HttpResponse response =
      ask({.method = HttpRequest::Method::head, .url = url, .token = {}, .range = {}},
          Redirects::within_hub, asked(repo, file.path));
  check_headers(response, asked(repo), commit, file);
  const std::string* etag = first_header(response, {"x-linked-etag", "etag"});
  FileLocation location = {.url = response.url, .etag = etag ? bare_etag(*etag) : ""};
  if (!is_plain_name(location.etag)) {
    throw Error(ErrorCode::bad_file, "has no usable ETag", repo.id + "/" + file.path, kNoHub);
  }
  if (response.is_redirect()) location.url = join_url(response.url, *response.header("location"));
  return location;
}

HttpResponse HubClient::fetch(const std::string& url, std::int64_t first, std::int64_t last,
                              const BodySink& sink) {
  return follow({.url = url, .token = {}, .range = std::pair{first, last}}, Redirects::all, sink);
}

}  // namespace flux2
