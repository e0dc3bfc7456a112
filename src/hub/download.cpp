#include "hub/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/disk_space.h"
#include "flux2/error.h"
#include "hub/file_download.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kReportInterval{100};
// A file system that is full to the last byte is no place to work in.
constexpr std::int64_t kReserve = std::int64_t{64} << 20;

std::string in_gigabytes(std::int64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

void check_space(const std::vector<HubFile>& files, const RepoCache& cache) {
  std::int64_t needed = 0;
  for (const HubFile& file : files) {
    const fs::path blob = cache.blob(file.sha256.empty() ? file.git_oid : file.sha256);
    if (fs::exists(blob)) continue;
    const std::int64_t missing = std::max<std::int64_t>(0, file.size - bytes_left_behind(blob));
    needed = missing > INT64_MAX - needed ? INT64_MAX : needed + missing;
  }
  const auto there = free_disk_space(cache.folder());
  if (needed == 0 || !there || needed <= *there - kReserve) return;
  throw Error(
      ErrorCode::bad_file,
      fmt::format("needs {} and there are {} free", in_gigabytes(needed), in_gigabytes(*there)),
      cache.folder().string(), "free some space, or name a folder elsewhere in HF_HUB_CACHE");
}

class Downloader {
 public:
  explicit Downloader(const Download& job)
      : job_(with_own_stop(job, stop_)), cache_(job.settings.cache, job.repo.id) {
    std::vector<HubFile> missing;
    for (const HubFile& file : job_.files) {
      if (!cache_.has(job_.commit, file.path)) missing.push_back(file);
    }
    check_space(missing, cache_);
    for (HubFile& file : missing) {
      total_ += file.size;
      pieces_ += 1 + file.size / job_.settings.piece_bytes;
      files_.emplace_back(job_, cache_, std::move(file));
    }
    in_flight_.resize(files_.size());
    states_.resize(files_.size(), State::waiting);
  }

  DownloadProgress run(const std::stop_token& stop) {
    const std::stop_callback forward(stop, [this] { end(); });
    working_ = static_cast<int>(std::min<std::int64_t>(job_.settings.connections, pieces_));
    std::vector<std::jthread> threads;
    const int count = working_;
    try {
      for (int i = 0; i < count; ++i)
        threads.emplace_back([this] { work(); });
      report_until_idle();
    } catch (...) {
      end();
      threads.clear();
      throw;
    }
    threads.clear();
    if (failure_) std::rethrow_exception(failure_);
    return progress();
  }

 private:
  enum class State {
    waiting,
    pieces,    // whoever is free takes one
    whole,     // one thread receives all of it: the server knows no ranges
    settling,  // all bytes are there and are being checked
    done,
  };

  struct Task {
    std::size_t file;
    std::size_t piece;
  };

  static Download with_own_stop(const Download& job, const std::stop_source& source) {
    Download own = job;
    own.stop = source.get_token();
    return own;
  }

  void end() {
    stop_.request_stop();
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  DownloadProgress progress() const {
    DownloadProgress progress = {.total = total_,
                                 .received = received_,
                                 .files_done = files_done_,
                                 .files = static_cast<int>(files_.size())};
    for (const FileDownload& file : files_)
      progress.done += file.bytes();
    progress.done = std::clamp<std::int64_t>(progress.done, 0, total_);
    return progress;
  }

  void report_until_idle() {
    std::unique_lock lock(mutex_);
    while (true) {
      const bool idle = changed_.wait_for(lock, kReportInterval, [this] { return working_ == 0; });
      const DownloadProgress now = progress();
      lock.unlock();
      if (job_.progress && !job_.stop.stop_requested()) job_.progress(now);
      if (idle) return;
      lock.lock();
    }
  }

  void work() {
    try {
      HubClient client(job_.settings, job_.stop);
      while (const std::optional<Task> task = next(client))
        run_task(client, *task);
    } catch (...) {
      fail(std::current_exception());
    }
    const std::lock_guard lock(mutex_);
    --working_;
    changed_.notify_all();
  }

  void fail(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::move(error);
    }
    end();
  }

  // A piece to receive; opens the next file where all pieces of the open ones are taken. One file
  // is opened at a time and in order: two processes that wait for each other's locks would wait
  // for ever otherwise.
  std::optional<Task> next(HubClient& client) {
    std::unique_lock lock(mutex_);
    while (!job_.stop.stop_requested()) {
      if (const auto task = take_piece()) return task;
      if (opening_) {
        changed_.wait(lock);
      } else if (opened_ < files_.size()) {
        opening_ = true;
        lock.unlock();
        open(client, opened_);
        lock.lock();
        ++opened_;
        opening_ = false;
        changed_.notify_all();
      } else {
        return std::nullopt;  // a piece that has to come again is its own thread's business
      }
    }
    return std::nullopt;
  }

  std::optional<Task> take_piece() {
    using Piece = PartialFile::Piece;
    while (first_open_ < opened_ && states_[first_open_] == State::done)
      ++first_open_;
    for (std::size_t i = first_open_; i < opened_; ++i) {
      if (states_[i] != State::pieces) continue;
      std::vector<Piece>& pieces = files_[i].partial().pieces();
      const auto free = std::find(pieces.begin(), pieces.end(), Piece::missing);
      if (free == pieces.end()) continue;
      *free = Piece::taken;
      ++in_flight_[i];
      return Task{i, static_cast<std::size_t>(free - pieces.begin())};
    }
    return std::nullopt;
  }

  void open(HubClient& client, std::size_t index) {
    const FileDownload::Opened opened = files_[index].open(client);
    if (opened == FileDownload::Opened::complete) return settle(index);
    const std::lock_guard lock(mutex_);
    if (opened == FileDownload::Opened::linked) ++files_done_;
    states_[index] = opened == FileDownload::Opened::linked ? State::done : State::pieces;
  }

  void run_task(HubClient& client, const Task& task) {
    FileDownload& file = files_[task.file];
    const FileDownload::PieceResult result = file.receive(client, task.piece, received_);
    const bool alone =
        result == FileDownload::PieceResult::ranges_ignored && claim_whole(task.file);
    if (alone) file.receive_whole(client, received_);
    bool last = false;
    {
      const std::lock_guard lock(mutex_);
      if (result == FileDownload::PieceResult::done) file.partial().finish(task.piece);
      if (alone) file.partial().finish_all();
      last = --in_flight_[task.file] == 0 && file.partial().is_complete();
      if (last) states_[task.file] = State::settling;
    }
    if (last) settle(task.file);
  }

  // The first thread that sees ranges ignored receives the file alone.
  bool claim_whole(std::size_t index) {
    const std::lock_guard lock(mutex_);
    if (states_[index] == State::whole) return false;
    states_[index] = State::whole;
    return true;
  }

  void settle(std::size_t index) {
    const FileDownload::Verdict verdict = files_[index].finish();
    const std::lock_guard lock(mutex_);
    const bool right = verdict == FileDownload::Verdict::right;
    if (right) ++files_done_;
    states_[index] = right ? State::done : State::pieces;
  }

  std::stop_source stop_;
  Download job_;
  RepoCache cache_;
  std::deque<FileDownload> files_;
  std::int64_t total_ = 0;
  std::int64_t pieces_ = 0;

  std::mutex mutex_;  // for all that follows, and the pieces of the files
  std::condition_variable changed_;
  std::vector<int> in_flight_;
  std::vector<State> states_;
  std::size_t opened_ = 0;
  std::size_t first_open_ = 0;
  bool opening_ = false;
  int working_ = 0;
  int files_done_ = 0;
  std::atomic<std::int64_t> received_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

DownloadProgress download(const Download& job) {
  return Downloader(job).run(job.stop);
}

}  // namespace flux2
