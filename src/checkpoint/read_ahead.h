#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "tensor/weight.h"

namespace flux2 {

/// Reads tensors of files into the page cache on a thread of its own, in the order they are asked
/// for, so that whoever computes or packs does not wait for the disk. It is advice: what is not
/// read when it ends is read when it is touched.
class ReadAhead {
 public:
  ReadAhead();
  /// Forgets what it has not come to.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// @param tensor  from a Checkpoint; is kept until it is read
  void ask(StoredTensor tensor);

 private:
  void read(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any asked_;
  std::deque<StoredTensor> queue_;
  std::jthread reader_;  // the last member: it works with the others
};

}  // namespace flux2
