#include "base/pinning.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "base/parallel.h"

#ifndef FLUX2_SERIAL
#include <omp.h>
#endif

namespace flux2 {
namespace {

// Of a thread that works for others.
struct Settled {
  unsigned long generation = 0;
  bool pinned = false;
  cpu_set_t before{};
};

thread_local detail::Pins pins_of_this_thread;
thread_local Settled settled;

unsigned long next_generation() {
  static std::atomic<unsigned long> last{0};
  return ++last;
}

// Threads of the whole machine that run or wait for a processor, this one included.
int running_threads() {
  std::ifstream file("/proc/stat");
  int running = 0;
  for (std::string word; file >> word;) {
    if (word == "procs_running" && file >> running) break;
  }
  return running;
}

// OpenMP's own variables say what its user wants.
bool openmp_binds() {
#ifdef FLUX2_SERIAL
  return false;
#else
  return omp_get_proc_bind() != omp_proc_bind_false;
#endif
}

// The processors that this process may use. Where OpenMP binds its threads it has bound this one to
// its own place before main began, so that its affinity no longer tells: the places do.
bool allowed_processors(cpu_set_t& allowed) {
#ifndef FLUX2_SERIAL
  if (openmp_binds()) {
    CPU_ZERO(&allowed);
    for (int place = 0; place < omp_get_num_places(); ++place) {
      std::vector<int> ids(static_cast<std::size_t>(omp_get_place_num_procs(place)));
      omp_get_place_proc_ids(place, ids.data());
      for (const int id : ids)
        CPU_SET(id, &allowed);
    }
    return CPU_COUNT(&allowed) > 0;
  }
#endif
  return sched_getaffinity(0, sizeof(allowed), &allowed) == 0;
}

}  // namespace

// Where the system does not tell which hardware threads share a core, each counts as one.
std::vector<int> processors_of_cores() {
  std::vector<int> processors;
  cpu_set_t allowed;
  if (!allowed_processors(allowed)) return processors;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string name = std::to_string(cpu);
    std::ifstream file("/sys/devices/system/cpu/cpu" + name + "/topology/thread_siblings_list");
    std::string siblings;  // the same for all threads of a core
    if (cores.insert(std::getline(file, siblings) ? siblings : name).second)
      processors.push_back(cpu);
  }
  return processors;
}

bool may_pin_freely() {
  if (openmp_binds()) return false;
  // Something short may run just now, a thread of an earlier call may still be waiting actively.
  constexpr int kLooks = 3;
  constexpr std::chrono::milliseconds kBetween{2};
  for (int look = 0; look < kLooks; ++look) {
    if (look > 0) std::this_thread::sleep_for(kBetween);
    if (running_threads() == 1) return true;
  }
  return false;
}

PinnedThreads::PinnedThreads(std::vector<int> processors) : pinned_(!processors.empty()) {
  if (!pinned_) return;
  const auto shared = std::make_shared<const std::vector<int>>(std::move(processors));
  pins_of_this_thread = {next_generation(), shared};
}

PinnedThreads::~PinnedThreads() {
  if (!pinned_) return;
  pins_of_this_thread = {next_generation(), nullptr};
  parallel_for(thread_count(), 1, [](std::int64_t, std::int64_t) {});
}

detail::Pins detail::current_pins() {
  return pins_of_this_thread;
}

void detail::settle(const Pins& pins, int index) {
  if (settled.generation == pins.generation || index == 0) return;
  settled.generation = pins.generation;
  if (pins.processors) {
    if (!settled.pinned)
      settled.pinned = sched_getaffinity(0, sizeof(cpu_set_t), &settled.before) == 0;
    const auto count = pins.processors->size();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((*pins.processors)[static_cast<std::size_t>(index) % count], &one);
    sched_setaffinity(0, sizeof(one), &one);  // where it is forbidden, the thread stays free
  } else if (settled.pinned) {
    sched_setaffinity(0, sizeof(cpu_set_t), &settled.before);
    settled.pinned = false;
  }
}

}  // namespace flux2
