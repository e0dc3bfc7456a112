#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flux2 {

/// A repository of the hub and one of its revisions.
struct RepoName {
  std::string id;                 ///< "org/name"
  std::string revision = "main";  ///< branch, tag or commit
};

/// Reads "org/name" or "org/name@revision" by huggingface_hub's rules: letters, digits, "-", "_"
/// and ".", at most 96 characters each, no "--", no "..", not ending in ".git".
/// @return nothing if `text` is no such name
std::optional<RepoName> parse_repo_name(std::string_view text);

/// A branch, tag or commit that is safe as a path below refs/.
bool is_revision(std::string_view text);
/// 40 hexadecimal digits: the name of a commit, which never changes its content.
bool is_commit(std::string_view text);
/// A path inside a repository that cannot lead out of a folder: "transformer/config.json".
bool is_inner_path(std::string_view path);
/// A name that is safe as that of one file: what an ETag may be.
bool is_plain_name(std::string_view name);

/// `text` fit for one line of an error: control characters as "?", cut after 120 bytes.
std::string on_one_line(std::string_view text);

}  // namespace flux2
