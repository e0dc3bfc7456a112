#include "hub/refusal.h"

#include <fmt/format.h>

#include "flux2/error.h"
#include "hub/patience.h"
#include "hub/repo_name.h"
#include "hub/url.h"

namespace flux2 {
namespace {

constexpr const char* kGiveToken =
    "give a token of https://huggingface.co/settings/tokens in HF_TOKEN or with `hf auth login`";

std::string where_of(const Asked& asked) {
  return asked.file.empty() ? asked.repo : asked.repo + "/" + asked.file;
}

[[noreturn]] void fail(const Asked& asked, std::string message, std::string hint) {
  throw Error(ErrorCode::bad_file, std::move(message), where_of(asked), std::move(hint));
}

std::string code_of(const HttpResponse& response) {
  const std::string* code = response.header("x-error-code");
  return code == nullptr ? "" : *code;
}

// What the server says in its own words, as ": ...".
std::string told_by(const HttpResponse& response) {
  const std::string* message = response.header("x-error-message");
  return message == nullptr || message->empty() ? "" : ": " + on_one_line(*message);
}

[[noreturn]] void refuse_gated(const HttpResponse& response, const Asked& asked) {
  const std::string page = origin_of(response.url).starts_with("https://huggingface.co:")
                               ? "https://huggingface.co/" + asked.repo
                               : "the page of " + asked.repo;
  if (asked.as == Asked::As::nobody) {
    fail(asked, "the hub gives this model only to those who accepted its licence",
         fmt::format("accept it on {}, then {}", page, kGiveToken));
  }
  fail(asked, "the licence of this model is not accepted by the owner of the token",
       fmt::format("accept it on {}; a fine-grained token also needs the right to read gated "
                   "repositories",
                   page));
}

// Without a token the hub answers 401 for what does not exist as well as for what is private.
[[noreturn]] void refuse_unknown(const HttpResponse& response, const Asked& asked) {
  if (asked.as == Asked::As::nobody) {
    fail(asked, "the hub has no such repository, or it is private",
         fmt::format("check the name; if it is private, {}", kGiveToken));
  }
  if (response.status == 401 && code_of(response).empty()) {
    fail(asked, "the hub does not accept the token" + told_by(response),
         "it may be expired or mistyped: check HF_TOKEN and the token file");
  }
  fail(asked, "the hub has no such repository, or the token may not read it",
       "check the name, and the rights of the token");
}

[[noreturn]] void refuse_missing(const HttpResponse& response, const Asked& asked) {
  const std::string code = code_of(response);
  if (code == "RevisionNotFound") {
    fail(asked, fmt::format("there is no revision {}", on_one_line(asked.revision)),
         "name a branch, a tag or a commit of the repository; the usual one is main");
  }
  if (code == "EntryNotFound" || (code.empty() && !asked.file.empty())) {
    fail(asked, fmt::format("there is no such file in revision {}", on_one_line(asked.revision)),
         "the repository was changed meanwhile, or the server is no hub: try again");
  }
  refuse_unknown(response, asked);
}

[[noreturn]] void refuse_busy(const HttpResponse& response, const Asked& asked) {
  const auto wait = wished_wait(response);
  fail(asked, "the hub has had too many requests (429)",
       wait ? fmt::format("try again in {} s; a token raises the limit", wait->count())
            : "try again later; a token raises the limit");
}

}  // namespace

void refuse(const HttpResponse& response, const Asked& asked) {
  if (response.failure) fail(asked, response.failure->message, response.failure->hint);
  if (code_of(response) == "GatedRepo") refuse_gated(response, asked);
  switch (response.status) {
    case 401:
      refuse_unknown(response, asked);
    case 403:
      fail(asked, "the hub refuses access (403)" + told_by(response),
           asked.as == Asked::As::nobody ? kGiveToken : "check the rights of the token");
    case 404:
      refuse_missing(response, asked);
    case 407:
      fail(asked, "the proxy asks for a name and a password (407)",
           "put them into the proxy variable: http://NAME:PASSWORD@HOST:PORT");
    case 429:
      refuse_busy(response, asked);
    default:
      fail(asked,
           fmt::format("{} answers with status {}{}", host_of(response.url), response.status,
                       told_by(response)),
           response.status >= 500 ? "the hub has trouble of its own: try again later" : "");
  }
}

}  // namespace flux2
