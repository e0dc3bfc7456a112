#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace flux2 {

/// What a finished run of the program left behind.
struct Finished {
  int status = -1;  ///< exit status; -1 if a signal ended it
  int signal = 0;   ///< the signal that ended it; 0 if none did
  std::string out;  ///< standard output
  std::string err;  ///< standard error
};

/// A running process whose standard output and error are kept.
class Process {
 public:
  /// @param arguments  the first is the program's path
  /// @param input      what its standard input holds; a few KiB at most
  explicit Process(const std::vector<std::string>& arguments, const std::string& input = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Waits until standard error holds `text`. @return false if it closed without
  bool wait_for_error(const std::string& text);
  void send(int signal) const;
  Finished finish();

 private:
  void collect(int descriptor, std::string& into);

  pid_t pid_ = -1;
  std::mutex mutex_;
  std::condition_variable grown_;
  bool error_closed_ = false;
  std::string out_;
  std::string err_;
  std::thread out_reader_;
  std::thread err_reader_;
};

/// Runs `flux2 arguments...` to its end.
Finished run_flux2(std::vector<std::string> arguments, const std::string& input = {});

/// Runs a shell command in which "$0" is flux2.
Finished run_shell(const std::string& command);

/// A folder of its own that goes away with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The path of a file in it.
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  /// Names of all that lies in it, hidden files too, sorted.
  std::vector<std::string> names() const;

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);

}  // namespace flux2
