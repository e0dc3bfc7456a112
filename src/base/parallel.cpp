#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#ifndef FLUX2_SERIAL
#include <omp.h>
#endif

namespace flux2 {
namespace {

// The CPU quota of the control group (version 2), in cores; 0 where there is none.
double quota_of_control_group() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

}  // namespace

int available_cores() {
  int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) cores = CPU_COUNT(&allowed);
  const double quota = quota_of_control_group();
  if (quota > 0) cores = std::min(cores, static_cast<int>(std::ceil(quota)));
  return std::max(1, cores);
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
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int part = 0; part < threads; ++part) {
    const std::int64_t begin = count * part / threads;
    const std::int64_t end = count * (part + 1) / threads;
    function(context, begin, end);
  }
}

#endif

}  // namespace flux2
