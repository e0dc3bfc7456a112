#include "hub/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace flux2 {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, FreeUrl>;

Url parse(const std::string& text) {
  Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
  return url;
}

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

bool is_unreserved(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

std::string quote(std::string_view text, std::string_view kept) {
  std::string quoted;
  for (const char c : text) {
    if (is_unreserved(c) || kept.find(c) != std::string_view::npos) {
      quoted += c;
    } else {
      quoted += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return quoted;
}

}  // namespace

std::string quote_path(std::string_view text) {
  return quote(text, "/");
}

std::string quote_step(std::string_view text) {
  return quote(text, "");
}

std::string join_url(const std::string& base, const std::string& location) {
  const Url url = parse(base);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) return {};
  char* text = nullptr;
  if (curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) return {};
  std::string joined = text;
  curl_free(text);
  return joined;
}

std::string origin_of(const std::string& url) {
  const Url parsed = parse(url);
  if (!parsed) return {};
  std::string origin = part_of(parsed.get(), CURLUPART_SCHEME) + "://" +
                       part_of(parsed.get(), CURLUPART_HOST) + ":" +
                       part_of(parsed.get(), CURLUPART_PORT);
  std::transform(origin.begin(), origin.end(), origin.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return origin;
}

std::string host_of(const std::string& url) {
  const Url parsed = parse(url);
  return parsed ? part_of(parsed.get(), CURLUPART_HOST) : url;
}

}  // namespace flux2
