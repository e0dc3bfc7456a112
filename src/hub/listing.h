#pragma once

#include <string>
#include <vector>

#include "hub/hub_client.h"

namespace flux2 {

/// Reads the answer of /api/models/ORG/NAME/revision/REVISION: its "sha".
/// @throws Error bad_file: not what a hub answers
std::string parse_commit(const HttpResponse& response, const Asked& asked);

/// Reads a page of /api/models/ORG/NAME/tree/COMMIT: its files, without the folders.
std::vector<HubFile> parse_files(const HttpResponse& response, const Asked& asked);

/// The next page of a Link header (`<URL>; rel="next"`); empty after the last one.
std::string next_page(const HttpResponse& response);

}  // namespace flux2
