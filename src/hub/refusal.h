#pragma once

#include <string>

#include "hub/http.h"

namespace flux2 {

/// What was asked for, for the words of an error.
struct Asked {
  std::string repo;      ///< "org/name"
  std::string revision;  ///< "main"
  std::string file;      ///< empty: the repository itself
  enum class As { nobody, token_owner } as = As::nobody;
};

/// Throws what an answer that is not the wanted one means.
/// @throws Error bad_file
[[noreturn]] void refuse(const HttpResponse& response, const Asked& asked);

}  // namespace flux2
