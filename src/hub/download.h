#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "hub/cache.h"
#include "hub/hub_client.h"
#include "hub/settings.h"

namespace flux2 {

/// How far a download is.
struct DownloadProgress {
  std::int64_t done = 0;      ///< bytes that are there
  std::int64_t total = 0;     ///< bytes of all files that were missing
  std::int64_t received = 0;  ///< bytes that came over the network
  int files_done = 0;
  int files = 0;
};

/// Files of one commit to be brought into the cache.
struct Download {
  const HubSettings& settings;
  RepoName repo;
  std::string commit;
  std::vector<HubFile> files;  ///< sorted by path, so that two processes lock in the same order
  std::function<void(const DownloadProgress&)> progress;  ///< called in the caller's thread
  std::stop_token stop;
};

/// Brings what is missing: several files and pieces at a time, going on where an interrupted run
/// ended. A blob gets its name after its length and digest were checked, a snapshot its link after
/// that.
/// @return what was done
/// @throws Error bad_file: no space (before anything is asked for), a refusal, a digest that does
///         not fit after a second try
/// @throws Error cancelled: a stop was requested; what is there stays for the next run
DownloadProgress download(const Download& job);

}  // namespace flux2
