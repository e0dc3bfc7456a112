#include "base/parallel.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <mutex>
#include <vector>

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
