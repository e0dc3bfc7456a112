#include "base/parallel.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/pinning.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

using Range = std::pair<std::int64_t, std::int64_t>;

std::vector<Range> ranges_of(std::int64_t count, std::int64_t grain) {
  std::mutex mutex;
  std::vector<Range> ranges;
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::scoped_lock lock(mutex);
    ranges.emplace_back(begin, end);
  });
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

class Parallel : public testing::Test {
 protected:
  void TearDown() override { set_thread_count(before_); }

 private:
  int before_ = thread_count();
};

TEST_F(Parallel, CoversEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 5, 8, 64}) {
    set_thread_count(threads);
    for (const std::int64_t count : {1, 2, 7, 100}) {
      for (const std::int64_t grain : {1, 3, 1000}) {
        std::int64_t next = 0;
        const std::vector<Range> ranges = ranges_of(count, grain);
        for (const auto& [begin, end] : ranges) {
          EXPECT_EQ(begin, next);
          EXPECT_LT(begin, end);
          next = end;
        }
        EXPECT_EQ(next, count);
        EXPECT_LE(ranges.size(), static_cast<std::size_t>(threads));
      }
    }
  }
}

TEST_F(Parallel, IsTheSamePartitionEveryTime) {
  set_thread_count(3);
  EXPECT_EQ(ranges_of(100, 1), ranges_of(100, 1));
}

TEST_F(Parallel, LeavesSmallWorkToOneThread) {
  set_thread_count(4);
  EXPECT_EQ(ranges_of(10, 10).size(), 1u);
}

TEST_F(Parallel, DoesNothingForNothing) {
  EXPECT_TRUE(ranges_of(0, 1).empty());
  EXPECT_TRUE(ranges_of(-1, 1).empty());
}

TEST_F(Parallel, WorksInsideItself) {
  set_thread_count(2);
  std::vector<std::vector<Range>> inner(4);
  parallel_for(4, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      inner[static_cast<std::size_t>(i)] = ranges_of(10, 1);
  });
  for (const auto& ranges : inner) {
    ASSERT_FALSE(ranges.empty());
    EXPECT_EQ(ranges.front().first, 0);
    EXPECT_EQ(ranges.back().second, 10);
  }
}

TEST_F(Parallel, HasAtLeastOneThread) {
  set_thread_count(0);
  EXPECT_EQ(thread_count(), 1);
  EXPECT_GE(available_cores(), 1);
}

TEST_F(Parallel, CountsOnlyTheCoresThatItMayUse) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_LE(available_cores(), CPU_COUNT(&before));
  int first = 0;
  while (!CPU_ISSET(first, &before))
    ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_cores(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

// The processors that each of `count` threads may run on, in the order of their ranges.
std::vector<std::vector<int>> affinities(int count) {
  std::vector<std::vector<int>> lists(static_cast<std::size_t>(count));
  parallel_for(count, 1, [&](std::int64_t begin, std::int64_t) {
    cpu_set_t own;
    if (sched_getaffinity(0, sizeof(own), &own) != 0) return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &own)) lists[static_cast<std::size_t>(begin)].push_back(cpu);
    }
  });
  return lists;
}

TEST_F(Parallel, PinsAllThreadsButTheCaller) {
  const std::vector<int> cores = processors_of_cores();
  ASSERT_FALSE(cores.empty());
  EXPECT_GE(static_cast<int>(cores.size()), available_cores());
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    if (thread_count() == 1) GTEST_SKIP() << "built without threads";
    const auto before = affinities(threads);
    {
      const PinnedThreads pinned(cores);
      for (int round = 0; round < 2; ++round) {
        const auto within = affinities(threads);
        EXPECT_EQ(within.front(), before.front());
        for (std::size_t i = 1; i < within.size(); ++i)
          EXPECT_EQ(within[i], std::vector<int>{cores[i % cores.size()]});
        parallel_for(2, 1, [](std::int64_t, std::int64_t) {});
      }
    }
    EXPECT_EQ(affinities(threads), before);
    const PinnedThreads nothing({});
    EXPECT_EQ(affinities(threads), before);
  }
}

// Also run with OMP_PROC_BIND, which binds this thread before main; whoever started it is not
// bound.
TEST_F(Parallel, CountsCoresWhereverOpenMpBound) {
  cpu_set_t starter;
  ASSERT_EQ(sched_getaffinity(getppid(), sizeof(starter), &starter), 0);
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &starter)) continue;
    const std::string name = std::to_string(cpu);
    std::ifstream file("/sys/devices/system/cpu/cpu" + name + "/topology/thread_siblings_list");
    std::string siblings;
    cores.insert(std::getline(file, siblings) ? siblings : name);
  }
  EXPECT_EQ(processors_of_cores().size(), cores.size());
}

TEST_F(Parallel, KeepsItsThreadsWhereALoopNeedsFewer) {
  set_thread_count(5);
  if (thread_count() == 1) GTEST_SKIP() << "built without threads";
  std::mutex mutex;
  std::set<pid_t> threads;
  for (int round = 0; round < 20; ++round) {
    parallel_for(round % 2 == 0 ? 5 : 2, 1, [&](std::int64_t, std::int64_t) {
      const std::scoped_lock lock(mutex);
      threads.insert(gettid());
    });
  }
  EXPECT_EQ(threads.size(), 5U);
}

TEST(Error, IsOneLineMadeOfItsParts) {
  const Error full(ErrorCode::bad_file, "is damaged", "a.safetensors", "download it again");
  EXPECT_STREQ(full.what(), "a.safetensors: is damaged (download it again)");
  EXPECT_EQ(full.code(), ErrorCode::bad_file);
  EXPECT_EQ(full.message(), "is damaged");
  EXPECT_EQ(full.where(), "a.safetensors");
  EXPECT_EQ(full.hint(), "download it again");
  EXPECT_STREQ(Error(ErrorCode::internal, "alone").what(), "alone");
}

}  // namespace
}  // namespace flux2
