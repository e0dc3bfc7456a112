#include "hub/http_failure.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <cstdlib>

#include "hub/repo_name.h"
#include "hub/url.h"

namespace flux2 {
namespace {

using Kind = HttpFailure::Kind;

// The variable that names a proxy for `url`, as libcurl reads them; nullptr if none does.
const char* proxy_variable(const std::string& url) {
  const auto is_set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  // HTTP_PROXY in capitals is left out on purpose: a web server sets it from a request's header.
  if (url.starts_with("http://")) {
    if (is_set("http_proxy")) return "http_proxy";
  } else {
    for (const char* name : {"https_proxy", "HTTPS_PROXY"}) {
      if (is_set(name)) return name;
    }
  }
  for (const char* name : {"all_proxy", "ALL_PROXY"}) {
    if (is_set(name)) return name;
  }
  return nullptr;
}

std::string network_hint(const std::string& url) {
  if (const char* variable = proxy_variable(url)) {
    return fmt::format("{} names a proxy: check it", variable);
  }
  return "check the network connection, and HF_ENDPOINT if it is set";
}

HttpFailure tls_failure(const std::string& why, const std::string& host) {
  return {Kind::refused, fmt::format("no safe connection to {}: {}", host, why),
          "check the clock and the ca-certificates package; where a proxy inspects TLS, name its "
          "certificates in SSL_CERT_FILE"};
}

}  // namespace

HttpFailure describe_failure(int code, const std::string& reason, const std::string& url) {
  const std::string host = host_of(url);
  const std::string why =
      on_one_line(reason.empty() ? curl_easy_strerror(static_cast<CURLcode>(code)) : reason);
  if (why.find("from proxy after CONNECT") != std::string::npos) {
    return {Kind::unreachable, fmt::format("the proxy leads nowhere: {}", why), network_hint(url)};
  }
  switch (static_cast<CURLcode>(code)) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Kind::unreachable, fmt::format("there is no host {}: {}", host, why),
              network_hint(url)};
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {Kind::unreachable, fmt::format("there is no such proxy: {}", why), network_hint(url)};
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
      return {Kind::unreachable, fmt::format("cannot connect to {}: {}", host, why),
              network_hint(url)};
    case CURLE_OPERATION_TIMEDOUT:
      return {Kind::interrupted, fmt::format("{} does not answer: {}", host, why),
              network_hint(url)};
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_READ_ERROR:
      return {Kind::interrupted, fmt::format("the connection to {} broke: {}", host, why),
              network_hint(url)};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return tls_failure(why, host);
    default:
      return {Kind::refused, fmt::format("cannot ask {}: {}", host, why), network_hint(url)};
  }
}

}  // namespace flux2
