#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "hub/cache.h"
#include "hub/download.h"
#include "hub/file_lock.h"
#include "hub/partial_file.h"

namespace flux2 {

/// One file on its way: from asking where it is to its link in the snapshot.
class FileDownload {
 public:
  FileDownload(const Download& job, const RepoCache& cache, HubFile file);

  enum class Opened {
    incomplete,  ///< pieces are missing
    complete,    ///< an interrupted run left all of them: to be checked
    linked,      ///< somebody else brought the blob meanwhile: nothing is left to do
  };
  /// Asks where the file is and takes its lock.
  Opened open(HubClient& client);
  /// Once it was opened, until it is finished.
  PartialFile& partial() { return *partial_; }

  enum class PieceResult { done, ranges_ignored };
  /// Receives one piece, with as many tries as it takes while something comes.
  /// @param received  counts bytes as they come
  PieceResult receive(HubClient& client, std::size_t piece, std::atomic<std::int64_t>& received);
  /// Receives the whole file in one answer, from a server that knows no ranges.
  void receive_whole(HubClient& client, std::atomic<std::int64_t>& received);

  enum class Verdict { right, start_over };
  /// Checks the digest; gives the blob its name and the snapshot its link. After a first wrong
  /// digest all of it is to be received again.
  /// @throws Error bad_file: the second one is wrong too
  Verdict finish();

  /// Bytes of this file that are there.
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Range;
  struct Source {
    std::string url;
    int version = 0;  // counts how often it was asked for
  };

  Source source() const;
  bool renew(HubClient& client, const HttpResponse& response, const Source& used);
  HttpResponse fetch(HubClient& client, Range& range, std::atomic<std::int64_t>& received);
  void receive_range(HubClient& client, Range& range, std::atomic<std::int64_t>& received);
  void count(std::int64_t bytes, std::atomic<std::int64_t>& received);

  const Download& job_;
  const RepoCache& cache_;
  HubFile file_;
  std::string etag_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<PartialFile> partial_;
  std::atomic<std::int64_t> bytes_ = 0;
  bool started_over_ = false;
  mutable std::mutex source_mutex_;
  Source source_;
};

}  // namespace flux2
