#include "hub/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "flux2/error.h"
#include "hub/repo_name.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEndpoint = "https://huggingface.co";

// Empty counts as absent.
std::optional<std::string> value_of(const Environment& environment, const char* name) {
  const char* value = environment(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<std::string> first_of(const Environment& environment,
                                    std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (auto value = value_of(environment, name)) return value;
  }
  return std::nullopt;
}

bool is_true(const std::optional<std::string>& value) {
  if (!value) return false;
  std::string upper = *value;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper == "1" || upper == "ON" || upper == "YES" || upper == "TRUE";
}

bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// $NAME and ${NAME}; a name that is not set stays as it is (os.path.expandvars).
std::string expand_variables(const std::string& text, const Environment& environment) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const bool braced = text.compare(i, 2, "${") == 0;
    const std::size_t begin = i + (braced ? 2 : 1);
    std::size_t end = begin;
    while (text[i] == '$' && end < text.size() && is_name_char(text[end]))
      ++end;
    const bool closed = !braced || (end < text.size() && text[end] == '}');
    const char* value = text[i] == '$' && end > begin && closed
                            ? environment(text.substr(begin, end - begin).c_str())
                            : nullptr;
    if (value == nullptr) {
      result += text[i++];
    } else {
      result += value;
      i = end + (braced ? 1 : 0);
    }
  }
  return result;
}

fs::path expand(const std::string& path, const Environment& environment) {
  std::string expanded = path;
  const auto home = value_of(environment, "HOME");
  if (home && (path == "~" || path.starts_with("~/"))) expanded = *home + path.substr(1);
  return expand_variables(expanded, environment);
}

fs::path hugging_face_home(const Environment& environment) {
  if (const auto home = value_of(environment, "HF_HOME")) return expand(*home, environment);
  if (const auto cache = value_of(environment, "XDG_CACHE_HOME")) {
    return expand(*cache, environment) / "huggingface";
  }
  return expand("~/.cache", environment) / "huggingface";
}

std::optional<std::string> read_token(const Environment& environment, const fs::path& home) {
  if (is_true(value_of(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return std::nullopt;
  if (const auto token = first_of(environment, {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})) {
    return clean_token(*token, "HF_TOKEN");
  }
  const auto named = value_of(environment, "HF_TOKEN_PATH");
  const fs::path path = named ? expand(*named, environment) : home / "token";
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  constexpr std::size_t kMaxToken = 4096;
  std::string token(kMaxToken, '\0');
  file.read(token.data(), static_cast<std::streamsize>(token.size()));
  token.resize(static_cast<std::size_t>(file.gcount()));
  return clean_token(token, path.string());
}

}  // namespace

std::optional<std::string> clean_token(const std::string& token, const std::string& where) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t begin = token.find_first_not_of(kSpace);
  if (begin == std::string::npos) return std::nullopt;
  std::string clean = token.substr(begin, token.find_last_not_of(kSpace) + 1 - begin);
  // A line break would start a header of its own.
  if (std::any_of(clean.begin(), clean.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    throw Error(ErrorCode::invalid_request,
                "this is not a token: there are spaces or other "
                "characters in it that a token never has",
                where, "tokens look like hf_..., from https://huggingface.co/settings/tokens");
  }
  return clean;
}

std::string clean_endpoint(std::string endpoint) {
  while (endpoint.ends_with('/'))
    endpoint.pop_back();
  const bool web = endpoint.starts_with("https://") || endpoint.starts_with("http://");
  const bool clean =
      std::all_of(endpoint.begin(), endpoint.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (web && clean) return endpoint;
  throw Error(ErrorCode::invalid_request, "this is not the address of a hub", on_one_line(endpoint),
              "HF_ENDPOINT looks like https://huggingface.co");
}

HubSettings read_hub_settings(const Environment& environment) {
  HubSettings settings;
  settings.endpoint = clean_endpoint(value_of(environment, "HF_ENDPOINT").value_or(kEndpoint));
  const fs::path home = hugging_face_home(environment);
  const auto cache = first_of(environment, {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  settings.cache = cache ? expand(*cache, environment) : home / "hub";
  settings.token = read_token(environment, home);
  if (is_true(first_of(environment, {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}))) {
    settings.network = HubSettings::Network::forbidden;
  }
  return settings;
}

HubSettings read_hub_settings() {
  return read_hub_settings([](const char* name) { return std::getenv(name); });
}

}  // namespace flux2
