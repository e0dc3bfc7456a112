#include "hub/repo_name.h"

#include <algorithm>

namespace flux2 {
namespace {

constexpr std::size_t kMaxName = 96;
constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kCommitDigits = 40;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_word(char c) {
  return is_letter_or_digit(c) || c == '_';
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && is_word(name.front()) &&
         is_word(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
           return is_word(c) || c == '-' || c == '.';
         });
}

bool is_repo_id(std::string_view id) {
  const std::size_t slash = id.find('/');
  return slash != std::string_view::npos && is_name(id.substr(0, slash)) &&
         is_name(id.substr(slash + 1)) && !contains(id, "--") && !contains(id, "..") &&
         !id.ends_with(".git");
}

bool is_printable(char c) {
  return c >= ' ' && c != '\x7f';
}

}  // namespace

std::optional<RepoName> parse_repo_name(std::string_view text) {
  const std::size_t at = text.find('@');
  RepoName name;
  name.id = text.substr(0, at);
  if (at != std::string_view::npos) name.revision = text.substr(at + 1);
  if (!is_repo_id(name.id) || !is_revision(name.revision)) return std::nullopt;
  return name;
}

bool is_revision(std::string_view text) {
  return is_inner_path(text) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_printable(c) && c != ' '; });
}

bool is_commit(std::string_view text) {
  return text.size() == kCommitDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_inner_path(std::string_view path) {
  if (path.empty() || path.size() > kMaxPath || contains(path, "\\")) return false;
  if (contains(path, std::string_view("\0", 1))) return false;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view step = path.substr(begin, end - begin);
    if (step.empty() || step == "." || step == "..") return false;
    begin = end + 1;
  }
  return true;
}

bool is_plain_name(std::string_view name) {
  constexpr std::size_t kMaxEtag = 128;
  return !name.empty() && name.size() <= kMaxEtag && is_letter_or_digit(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

std::string on_one_line(std::string_view text) {
  constexpr std::size_t kShown = 120;
  std::string line(text.substr(0, kShown));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return !is_printable(c); }, '?');
  if (text.size() > kShown) line += "...";
  return line;
}

}  // namespace flux2
