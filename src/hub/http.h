#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "hub/settings.h"

namespace flux2 {

/// Why there was no answer, or not a whole one.
struct HttpFailure {
  enum class Kind {
    unreachable,  ///< no host, no connection: nothing was said yet
    interrupted,  ///< the connection broke or stalled
    refused,      ///< TLS, a URL that cannot be asked for: trying again does not help
  };
  Kind kind = Kind::interrupted;
  std::string message;
  std::string hint;
};

struct HttpResponse {
  long status = 0;                             ///< 0: no answer
  std::string url;                             ///< that was asked
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< unless a sink took it; a limited part of it
  std::optional<HttpFailure> failure;

  bool ok() const { return !failure && status >= 200 && status < 300; }
  bool is_redirect() const;
  /// nullptr if there is no such header. @param name in lower case
  const std::string* header(const std::string& name) const;
};

/// What a body goes to, as it comes; for 2xx answers only.
/// @return false ends the exchange, which is then neither failed nor whole
using BodySink = std::function<bool(const HttpResponse& head, std::span<const std::byte> bytes)>;

struct HttpRequest {
  enum class Method { get, head };
  Method method = Method::get;
  std::string url;
  std::optional<std::string> token;                            ///< sent as "Authorization: Bearer"
  std::optional<std::pair<std::int64_t, std::int64_t>> range;  ///< first and last byte
};

/// One connection, used by one thread. Follows no redirect and tries nothing twice.
class Http {
 public:
  Http(const HubSettings& settings, std::stop_token stop);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  /// @throws Error cancelled: a stop was requested; what `sink` throws
  HttpResponse exchange(const HttpRequest& request, const BodySink& sink = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flux2
