#include "base/parallel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#include "base/pinning.h"

#ifndef FLUX2_SERIAL
#include <omp.h>
#endif

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// The quota of one control group (version 2), in cores; infinite where there is none.
double quota_in(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return HUGE_VAL;
  return std::strtod(quota.c_str(), nullptr) / period;
}

// The least quota of this process's control group and of all groups around it.
double quota_of_control_groups() {
  constexpr const char* kRoot = "/sys/fs/cgroup";
  double quota = quota_in(kRoot);  // all there is to see inside a container
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kVersion2 = "0::/";
    if (!line.starts_with(kVersion2)) continue;
    fs::path group = kRoot;
    for (const fs::path& name : fs::path(line.substr(kVersion2.size())))
      quota = std::min(quota, quota_in(group /= name));
  }
  return quota;
}

}  // namespace

// Hardware threads of one core share its arithmetic units: two of them multiply no faster than one,
// and wait for each other.
int available_cores() {
  int cores = static_cast<int>(processors_of_cores().size());
  if (cores == 0) cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const double quota = std::ceil(quota_of_control_groups());
  return std::max(1, quota < cores ? static_cast<int>(quota) : cores);
}

#ifdef FLUX2_SERIAL

int thread_count() {
  return 1;
}
void set_thread_count(int) {}

void detail::run_parallel(std::int64_t count, std::int64_t, RangeFunction function, void* context) {
  if (count > 0) function(context, 0, count);
}

#else

int thread_count() {
  return omp_get_max_threads();
}
void set_thread_count(int count) {
  omp_set_num_threads(std::max(1, count));
}

void detail::run_parallel(std::int64_t count, std::int64_t grain, RangeFunction function,
                          void* context) {
  if (count <= 0) return;
  const std::int64_t most = (count + grain - 1) / grain;
  const auto threads = static_cast<int>(std::min<std::int64_t>(thread_count(), most));
  if (threads <= 1 || omp_in_parallel()) return function(context, 0, count);
  const Pins pins = current_pins();
  // All threads take part, also those that get nothing: libgomp ends the threads that a smaller
  // team leaves out, and starts new ones for the next team.
#pragma omp parallel num_threads(thread_count())
  {
    settle(pins, omp_get_thread_num());
#pragma omp for schedule(static, 1) nowait
    for (int part = 0; part < threads; ++part) {
      const std::int64_t begin = count * part / threads;
      const std::int64_t end = count * (part + 1) / threads;
      function(context, begin, end);
    }
  }
}

#endif

}  // namespace flux2
