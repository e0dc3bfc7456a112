#pragma once

#include <string>
#include <string_view>

namespace flux2 {

/// `text` as a part of a URL, "/" kept: what is not a letter, a digit or one of "-._~/" as %XX.
std::string quote_path(std::string_view text);
/// The same with "/" as %2F: a revision inside a path.
std::string quote_step(std::string_view text);

/// What `location` (absolute or relative) of a redirect means when `base` was asked for; empty if
/// it is not a URL.
std::string join_url(const std::string& base, const std::string& location);

/// "https://host:443": scheme, host in lower case and port; empty if `url` is not one.
std::string origin_of(const std::string& url);
/// "host" of a URL, for people.
std::string host_of(const std::string& url);

}  // namespace flux2
