#pragma once

#include <exception>
#include <string>

#include "flux2/export.h"

namespace FLUX2_API flux2 {

/// What kind of thing went wrong. The command line turns it into its exit status.
enum class ErrorCode {
  internal,         ///< a bug or an exhausted resource other than memory (exit 1)
  invalid_request,  ///< the call asks for something impossible or contradictory (exit 2)
  bad_file,         ///< a file or checkpoint is missing, damaged or of the wrong kind (exit 3)
  out_of_memory,    ///< the work does not fit (exit 4)
  cancelled,        ///< the caller asked to stop (exit 5)
};

/// The one exception type that leaves this library.
///
/// `what()` is a single line: "where: message (hint)", control characters in it as "\x0a". The
/// parts are kept apart for callers that present them in their own way.
class Error : public std::exception {
 public:
  /// @param code     kind of failure
  /// @param message  what is wrong, with the offending value in it
  /// @param where    file, tensor or option it is about; may be empty
  /// @param hint     what the caller can do; may be empty
  Error(ErrorCode code, std::string message, std::string where = {}, std::string hint = {});

  /// The one line, for people.
  const char* what() const noexcept override { return line_.c_str(); }
  /// What kind of failure it is.
  ErrorCode code() const noexcept { return code_; }
  /// What is wrong.
  const std::string& message() const noexcept { return message_; }
  /// File, tensor or argument it is about; may be empty.
  const std::string& where() const noexcept { return where_; }
  /// What the caller can do; may be empty.
  const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorCode code_;
  std::string message_;
  std::string where_;
  std::string hint_;
  std::string line_;
};

}  // namespace flux2
