#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

extern char** environ;

namespace flux2 {
namespace {

namespace fs = std::filesystem;

struct Pipe {
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  }
  int reading() const { return ends[0]; }
  int writing() const { return ends[1]; }
  std::array<int, 2> ends{};
};

pid_t spawn(const std::vector<std::string>& arguments, const Pipe& in, const Pipe& out,
            const Pipe& err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.reading(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.writing(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.writing(), STDERR_FILENO);

  // A test run in the background ignores Ctrl-C, which the program would inherit.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> words;
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, words[0], &actions, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw std::runtime_error("cannot run " + arguments[0]);
  return pid;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::string& input) {
  const Pipe in;
  const Pipe out;
  const Pipe err;
  pid_ = spawn(arguments, in, out, err);
  close(in.reading());
  close(out.writing());
  close(err.writing());
  const bool given =
      write(in.writing(), input.data(), input.size()) == static_cast<ssize_t>(input.size());
  close(in.writing());
  if (!given) throw std::runtime_error("cannot give the program its input");
  out_reader_ = std::thread([this, end = out.reading()] { collect(end, out_); });
  err_reader_ = std::thread([this, end = err.reading()] {
    collect(end, err_);
    const std::lock_guard lock(mutex_);
    error_closed_ = true;
    grown_.notify_all();
  });
}

Process::~Process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    finish();
  }
}

void Process::collect(int descriptor, std::string& into) {
  std::array<char, 4096> buffer{};
  ssize_t count = 0;
  while ((count = read(descriptor, buffer.data(), buffer.size())) > 0) {
    const std::lock_guard lock(mutex_);
    into.append(buffer.data(), static_cast<std::size_t>(count));
    grown_.notify_all();
  }
  close(descriptor);
}

bool Process::wait_for_error(const std::string& text) {
  std::unique_lock lock(mutex_);
  const auto holds = [&] { return err_.find(text) != std::string::npos; };
  grown_.wait(lock, [&] { return holds() || error_closed_; });
  return holds();
}

void Process::send(int signal) const {
  kill(pid_, signal);
}

Finished Process::finish() {
  out_reader_.join();
  err_reader_.join();
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
          .out = out_,
          .err = err_};
}

Finished run_flux2(std::vector<std::string> arguments, const std::string& input) {
  arguments.insert(arguments.begin(), FLUX2_PROGRAM);
  return Process(arguments, input).finish();
}

Finished run_shell(const std::string& command) {
  return Process({"/bin/sh", "-c", command, FLUX2_PROGRAM}).finish();
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "flux2-e2e-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace flux2
