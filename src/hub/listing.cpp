#include "hub/listing.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flux2/error.h"
#include "hub/url.h"

namespace flux2 {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 32;
// More than the hub takes; sums of them stay far from overflowing.
constexpr std::int64_t kMaxSize = std::int64_t{1} << 40;

[[noreturn]] void refuse_answer(const HttpResponse& response, const Asked& asked,
                                const std::string& what) {
  throw Error(ErrorCode::bad_file, fmt::format("{} {}", host_of(response.url), what), asked.repo,
              "no hub answers like this: check HF_ENDPOINT, and whether a proxy or a login page "
              "of the network is in between");
}

Json parse(const HttpResponse& response, const Asked& asked) {
  const auto within_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) refuse_answer(response, asked, "answers with nested nonsense");
    return true;
  };
  try {
    return Json::parse(response.body, within_depth);
  } catch (const Json::exception&) {
    const std::string* type = response.header("content-type");
    refuse_answer(response, asked,
                  fmt::format("answers with {} instead of JSON",
                              type == nullptr ? "something else" : on_one_line(*type)));
  }
}

std::string text_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_digest(const std::string& text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::int64_t size_at(const Json& json) {
  const auto found = json.find("size");
  if (found == json.end() || !found->is_number_integer()) return -1;
  // Above the signed range the value would wrap around.
  if (found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX) return -1;
  return found->get<std::int64_t>();
}

// {"type": "file", "oid": SHA-1, "size": N, "path": P, "lfs": {"oid": SHA-256, "size": N, ...}}
HubFile file_of(const Json& entry, const HttpResponse& response, const Asked& asked) {
  constexpr std::size_t kSha1Digits = 40;
  constexpr std::size_t kSha256Digits = 64;
  HubFile file = {.path = text_at(entry, "path"),
                  .size = size_at(entry),
                  .git_oid = text_at(entry, "oid"),
                  .sha256 = {}};
  bool known = is_digest(file.git_oid, kSha1Digits);
  const auto lfs = entry.find("lfs");
  if (lfs != entry.end() && lfs->is_object()) {
    file.sha256 = text_at(*lfs, "oid");
    file.size = size_at(*lfs);
    known = is_digest(file.sha256, kSha256Digits);
  }
  if (!known || file.size < 0 || file.size > kMaxSize || !is_inner_path(file.path)) {
    refuse_answer(response, asked,
                  fmt::format("lists a file without a usable name, size or digest: {}",
                              on_one_line(file.path)));
  }
  return file;
}

}  // namespace

std::string parse_commit(const HttpResponse& response, const Asked& asked) {
  const Json json = parse(response, asked);
  const std::string commit = json.is_object() ? text_at(json, "sha") : "";
  if (!is_commit(commit)) refuse_answer(response, asked, "answers without a commit");
  return commit;
}

std::vector<HubFile> parse_files(const HttpResponse& response, const Asked& asked) {
  const Json json = parse(response, asked);
  if (!json.is_array()) refuse_answer(response, asked, "answers without a list of files");
  std::vector<HubFile> files;
  for (const Json& entry : json) {
    if (!entry.is_object()) refuse_answer(response, asked, "answers without a list of files");
    if (text_at(entry, "type") == "file") files.push_back(file_of(entry, response, asked));
  }
  return files;
}

std::string next_page(const HttpResponse& response) {
  const std::string* link = response.header("link");
  if (link == nullptr) return {};
  std::size_t begin = link->find('<');
  while (begin != std::string::npos) {
    const std::size_t end = link->find('>', begin);
    if (end == std::string::npos) return {};
    const std::size_t next = link->find('<', end);
    const std::string attributes = link->substr(end, next == std::string::npos ? next : next - end);
    if (attributes.find("rel=\"next\"") != std::string::npos) {
      return join_url(response.url, link->substr(begin + 1, end - begin - 1));
    }
    begin = next;
  }
  return {};
}

}  // namespace flux2
