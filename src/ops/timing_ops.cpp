#include "ops/timing_ops.h"

#include <algorithm>
#include <chrono>

namespace flux2 {

void TimingOps::observe(const OpCall& call, const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  auto found = timings_.find(call.name);
  if (found == timings_.end()) {
    const std::string name(call.name);
    found = timings_.emplace(name, OpTiming{.name = name}).first;
  }
  OpTiming& timing = found->second;
  ++timing.calls;
  timing.seconds += elapsed.count();
  timing.flops += call.flops;
  timing.bytes += call.bytes;
}

std::vector<OpTiming> TimingOps::report() const {
  std::vector<OpTiming> rows;
  for (const auto& [name, timing] : timings_)
    rows.push_back(timing);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const OpTiming& a, const OpTiming& b) { return a.seconds > b.seconds; });
  return rows;
}

OpTiming TimingOps::total() const {
  OpTiming sum{.name = "total"};
  for (const auto& [name, timing] : timings_) {
    sum.calls += timing.calls;
    sum.seconds += timing.seconds;
    sum.flops += timing.flops;
    sum.bytes += timing.bytes;
  }
  return sum;
}

}  // namespace flux2
