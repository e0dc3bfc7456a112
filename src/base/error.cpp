#include "flux2/error.h"

#include <utility>

namespace flux2 {

Error::Error(ErrorCode code, std::string message, std::string where, std::string hint)
    : code_(code), message_(std::move(message)), where_(std::move(where)), hint_(std::move(hint)) {
  line_ = where_.empty() ? message_ : where_ + ": " + message_;
  if (!hint_.empty()) line_ += " (" + hint_ + ")";
}

}  // namespace flux2
