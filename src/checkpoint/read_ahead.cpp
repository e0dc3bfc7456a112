#include "checkpoint/read_ahead.h"

#include <algorithm>
#include <utility>

#include "checkpoint/checkpoint.h"

namespace flux2 {
namespace {

// After so many bytes it looks whether it shall stop.
constexpr std::size_t kPiece = std::size_t{4} << 20;

}  // namespace

ReadAhead::ReadAhead() : reader_([this](const std::stop_token& stop) { read(stop); }) {}

ReadAhead::~ReadAhead() {
  reader_.request_stop();
  reader_.join();
}

void ReadAhead::ask(StoredTensor tensor) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(tensor));
  }
  asked_.notify_one();
}

void ReadAhead::read(const std::stop_token& stop) {
  while (true) {
    StoredTensor tensor;
    {
      std::unique_lock lock(mutex_);
      if (!asked_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
      tensor = std::move(queue_.front());
      queue_.pop_front();
    }
    std::span<const std::byte> rest = std::exchange(tensor.bytes, {});
    while (!rest.empty() && !stop.stop_requested()) {
      tensor.bytes = rest.first(std::min(kPiece, rest.size()));
      prefetch(tensor);
      rest = rest.subspan(tensor.bytes.size());
    }
  }
}

}  // namespace flux2
