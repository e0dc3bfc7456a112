#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace flux2 {

/// Where the hub is, who asks, and how patient. Read from the environment by huggingface_hub's
/// rules; a caller may change it.
struct HubSettings {
  std::string endpoint;              ///< "https://huggingface.co", without a slash at the end
  std::filesystem::path cache;       ///< holds models--org--name/
  std::optional<std::string> token;  ///< sent to the endpoint only
  enum class Network { allowed, forbidden } network = Network::allowed;

  int connections = 8;                                ///< at the same time
  std::int64_t piece_bytes = std::int64_t{16} << 20;  ///< what one request asks for
  int retries = 5;                                    ///< in a row, without a byte in between
  std::chrono::milliseconds first_wait{1000};         ///< before the first retry; then doubled
  std::chrono::milliseconds longest_backoff{8000};    ///< where doubling ends
  std::chrono::seconds longest_wait{300};             ///< that a server may ask for
  std::chrono::seconds connect_timeout{10};
  std::chrono::seconds stall_timeout{30};  ///< without a byte
};

/// The value of an environment variable, or nullptr.
using Environment = std::function<const char*(const char* name)>;

/// HF_ENDPOINT; HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME; HF_TOKEN,
/// HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH or HF_HOME/token, HF_HUB_DISABLE_IMPLICIT_TOKEN;
/// HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE. "~" and $NAME are expanded in paths.
/// @throws Error invalid_request: a token or endpoint that cannot be one
HubSettings read_hub_settings(const Environment& environment);

/// The same, of this process.
HubSettings read_hub_settings();

/// `token` without white space around it; nothing if nothing is left.
/// @throws Error invalid_request: white space or control characters in it
std::optional<std::string> clean_token(const std::string& token, const std::string& where);

/// `endpoint` without slashes at its end.
/// @throws Error invalid_request: neither http:// nor https://
std::string clean_endpoint(std::string endpoint);

}  // namespace flux2
