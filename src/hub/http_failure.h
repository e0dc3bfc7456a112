#pragma once

#include <string>

#include "hub/http.h"

namespace flux2 {

/// libcurl's result in words for people.
/// @param code    a CURLcode other than CURLE_OK
/// @param reason  what libcurl wrote into its error buffer; may be empty
HttpFailure describe_failure(int code, const std::string& reason, const std::string& url);

}  // namespace flux2
