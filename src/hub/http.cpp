#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "flux2/error.h"
#include "hub/http_failure.h"

namespace flux2 {
namespace {

// An answer of the hub's API is a listing of at most a thousand files.
constexpr std::size_t kMaxBody = std::size_t{16} << 20;
constexpr std::size_t kMaxHeaders = 256;
constexpr const char* kUserAgent = "flux2cpp/" FLUX2_VERSION;

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      throw Error(ErrorCode::internal, "libcurl cannot start");
    }
  });
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  list.release();
  list.reset(longer);
}

// What the callbacks of one exchange write to.
struct Exchange {
  HttpResponse& response;
  const BodySink& sink;
  const std::stop_token& stop;
  std::exception_ptr error;
  bool ended_by_sink = false;
};

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin));
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* context) {
  HttpResponse& response = static_cast<Exchange*>(context)->response;
  const std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    // An interim answer (1xx) may come first.
    response.headers.clear();
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos) response.status = std::atol(data + space);
    return size;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || response.headers.size() >= kMaxHeaders) return size;
  std::string name = trimmed(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  response.headers[name] = trimmed(line.substr(colon + 1));
  return size;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* context) {
  Exchange& exchange = *static_cast<Exchange*>(context);
  HttpResponse& response = exchange.response;
  const bool wanted = response.status >= 200 && response.status < 300;
  if (!wanted || !exchange.sink) {
    response.body.append(data, std::min(size, kMaxBody - std::min(kMaxBody, response.body.size())));
    return size;
  }
  // An exception must not cross libcurl.
  try {
    if (exchange.sink(response, std::as_bytes(std::span(data, size)))) return size;
    exchange.ended_by_sink = true;
  } catch (...) {
    exchange.error = std::current_exception();
  }
  return CURL_WRITEFUNC_ERROR;
}

int watch(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(context)->stop.stop_requested() ? 1 : 0;
}

}  // namespace

bool HttpResponse::is_redirect() const {
  constexpr long kRedirects[] = {301, 302, 303, 307, 308};
  return !failure &&
         std::find(std::begin(kRedirects), std::end(kRedirects), status) != std::end(kRedirects);
}

const std::string* HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nullptr : &found->second;
}

class Http::Impl {
 public:
  Impl(const HubSettings& settings, std::stop_token stop) : stop_(std::move(stop)) {
    start_curl();
    easy_ = curl_easy_init();
    if (easy_ == nullptr) throw Error(ErrorCode::internal, "libcurl cannot start");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, kUserAgent);
    // A page that came by TLS sends nobody to one that did not.
    const bool secure = settings.endpoint.starts_with("https://");
    set(CURLOPT_PROTOCOLS_STR, secure ? "https" : "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(settings.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings.stall_timeout.count()));
    for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"}) {
      const char* file = std::getenv(name);
      if (file != nullptr && *file != '\0') set(CURLOPT_CAINFO, file);
    }
    set(CURLOPT_ERRORBUFFER, reason_);
    set(CURLOPT_HEADERFUNCTION, &take_header);
    set(CURLOPT_WRITEFUNCTION, &take_body);
    set(CURLOPT_XFERINFOFUNCTION, &watch);
    set(CURLOPT_NOPROGRESS, 0L);
  }
  ~Impl() { curl_easy_cleanup(easy_); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  HttpResponse exchange(const HttpRequest& request, const BodySink& sink) {
    HttpResponse response;
    response.url = request.url;
    Exchange exchange = {response, sink, stop_, nullptr};
    const HeaderList headers = prepare(request, exchange);
    const CURLcode code =
        stop_.stop_requested() ? CURLE_ABORTED_BY_CALLBACK : curl_easy_perform(easy_);
    if (exchange.error) std::rethrow_exception(exchange.error);
    if (code == CURLE_ABORTED_BY_CALLBACK) throw Error(ErrorCode::cancelled, "cancelled");
    if (code != CURLE_OK && !exchange.ended_by_sink) {
      response.failure = describe_failure(static_cast<int>(code), reason_, request.url);
    }
    return response;
  }

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy_, option, value);
    if (code != CURLE_OK) {
      throw Error(ErrorCode::internal,
                  fmt::format("libcurl does not know option {}: {}", static_cast<int>(option),
                              curl_easy_strerror(code)));
    }
  }

  HeaderList prepare(const HttpRequest& request, Exchange& exchange) {
    reason_[0] = '\0';
    HeaderList headers;
    // Compressed on the way, a file would have another length than the hub says.
    append(headers, "Accept-Encoding: identity");
    if (request.token) append(headers, "Authorization: Bearer " + *request.token);
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    if (request.method == HttpRequest::Method::head) {
      set(CURLOPT_NOBODY, 1L);
    } else {
      set(CURLOPT_HTTPGET, 1L);
    }
    const std::string range =
        request.range ? fmt::format("{}-{}", request.range->first, request.range->second) : "";
    // libcurl keeps a copy.
    set(CURLOPT_RANGE, request.range ? range.c_str() : static_cast<const char*>(nullptr));
    set(CURLOPT_HEADERDATA, &exchange);
    set(CURLOPT_WRITEDATA, &exchange);
    set(CURLOPT_XFERINFODATA, &exchange);
    return headers;
  }

  std::stop_token stop_;
  CURL* easy_ = nullptr;
  char reason_[CURL_ERROR_SIZE] = "";
};

Http::Http(const HubSettings& settings, std::stop_token stop)
    : impl_(std::make_unique<Impl>(settings, std::move(stop))) {}
Http::~Http() = default;

HttpResponse Http::exchange(const HttpRequest& request, const BodySink& sink) {
  return impl_->exchange(request, sink);
}

}  // namespace flux2
