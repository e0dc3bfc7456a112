#include "backends/cpu/memory_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr std::size_t kSizes[] = {0, 1, 64, 1000, 300'000, 5'000'000, 40'000'001};

TEST(MemoryPool, GivesAlignedBlocksThatCanBeWritten) {
  const auto pool = MemoryPool::make();
  for (const std::size_t size : kSizes) {
    const auto block = pool->allocate(size);
    ASSERT_GE(block->bytes, size);
    EXPECT_EQ(std::bit_cast<std::uintptr_t>(block->data) % 64, 0U);
    auto* bytes = static_cast<std::byte*>(block->data);
    if (size > 0) bytes[0] = bytes[size - 1] = std::byte{1};
  }
}

TEST(MemoryPool, GivesABlockOutAgain) {
  const auto pool = MemoryPool::make();
  for (const std::size_t size : kSizes) {
    const void* first = pool->allocate(size)->data;
    const std::size_t held = pool->held_bytes();
    EXPECT_EQ(pool->allocate(size)->data, first) << size;
    EXPECT_EQ(pool->held_bytes(), held) << size;
  }
}

TEST(MemoryPool, NeverGivesTheSameBlockTwiceAtATime) {
  const auto pool = MemoryPool::make();
  const auto first = pool->allocate(1000), second = pool->allocate(1000);
  EXPECT_NE(first->data, second->data);
}

TEST(MemoryPool, ARepeatedSequenceTakesNothingMore) {
  const auto pool = MemoryPool::make();
  const auto run = [&] {
    const auto a = pool->allocate(1'000'000);
    auto b = pool->allocate(3'000'000);
    const auto c = pool->allocate(900'000);
    b.reset();
    const auto d = pool->allocate(2'900'000);
  };
  run();
  const std::size_t held = pool->held_bytes();
  for (int i = 0; i < 5; ++i)
    run();
  EXPECT_EQ(pool->held_bytes(), held);
}

TEST(MemoryPool, TrimGivesBackWhatNoTensorUses) {
  const auto pool = MemoryPool::make();
  const auto used = pool->allocate(1'000'000);
  const std::size_t held = pool->held_bytes();
  pool->allocate(40'000'000);
  EXPECT_GT(pool->held_bytes(), held);
  pool->trim();
  EXPECT_EQ(pool->held_bytes(), held);
  static_cast<std::byte*>(used->data)[999'999] = std::byte{1};
}

constexpr std::size_t kHugePage = std::size_t{2} << 20;

TEST(MemoryPool, PagesOfIdleBlocksBecomePartOfALargerOne) {
  const auto pool = MemoryPool::make();
  auto first = pool->allocate(5 * kHugePage), second = pool->allocate(7 * kHugePage);
  std::memset(first->data, 1, first->bytes);
  std::memset(second->data, 2, second->bytes);
  first.reset();
  second.reset();
  const auto joined = pool->allocate(20 * kHugePage);
  EXPECT_EQ(pool->held_bytes(), 20 * kHugePage);
  EXPECT_EQ(pool->idle_bytes(), 0U);
  // What was in the pages came along, which shows that these are the same ones.
  const auto* bytes = static_cast<const unsigned char*>(joined->data);
  EXPECT_EQ(std::count(bytes, bytes + joined->bytes, 2), 7 * kHugePage);
  EXPECT_EQ(std::count(bytes, bytes + joined->bytes, 1), 5 * kHugePage);
  std::memset(joined->data, 3, joined->bytes);
}

TEST(MemoryPool, WhatALargeBlockDoesNotNeedStaysIdle) {
  const auto pool = MemoryPool::make();
  pool->allocate(20 * kHugePage);
  const auto part = pool->allocate(8 * kHugePage);
  EXPECT_EQ(part->bytes, 8 * kHugePage);
  EXPECT_EQ(pool->idle_bytes(), 12 * kHugePage);
  const auto rest = pool->allocate(12 * kHugePage);
  EXPECT_EQ(pool->held_bytes(), 20 * kHugePage);
  std::memset(part->data, 1, part->bytes);
  std::memset(rest->data, 2, rest->bytes);
  EXPECT_EQ(static_cast<const char*>(part->data)[part->bytes - 1], 1);
}

// Random blocks, joined and split many times over: each keeps what was written to it.
TEST(MemoryPool, BlocksKeepTheirBytesHoweverPagesMove) {
  const auto pool = MemoryPool::make();
  std::vector<std::shared_ptr<Storage>> blocks(6);
  std::vector<int> marks(blocks.size());
  const auto ends_of = [](const Storage& block) {
    auto* bytes = static_cast<char*>(block.data);
    return std::pair{bytes, bytes + block.bytes - 1};
  };
  std::mt19937 random(1);
  std::size_t most = 0;
  for (int round = 0; round < 300; ++round) {
    const std::size_t i = random() % blocks.size();
    if (blocks[i]) {
      const auto [first, last] = ends_of(*blocks[i]);
      ASSERT_EQ(*first, static_cast<char>(marks[i]));
      ASSERT_EQ(*last, static_cast<char>(marks[i]));
    }
    blocks[i].reset();
    blocks[i] = pool->allocate((1 + random() % 16) * kHugePage / 2);
    marks[i] = round;
    const auto [first, last] = ends_of(*blocks[i]);
    *first = *last = static_cast<char>(round);
    most = std::max(most, pool->held_bytes());
  }
  EXPECT_LE(most, 8 * blocks.size() * kHugePage * 5 / 4 + 16 * kHugePage);
  blocks.clear();
  EXPECT_EQ(pool->idle_bytes(), pool->held_bytes());
  pool->trim();
  EXPECT_EQ(pool->held_bytes(), 0U);
}

TEST(MemoryPool, ATensorMayOutliveThePoolsOwner) {
  Tensor tensor;
  {
    const auto pool = MemoryPool::make();
    tensor = pool->tensor({300, 1000}, DType::f32);
  }
  tensor.f32()[299'999] = 1.0f;
  EXPECT_EQ(tensor.f32()[299'999], 1.0f);
}

TEST(MemoryPool, ThreadsMayReleaseAtTheSameTime) {
  const auto pool = MemoryPool::make();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 500; ++k) {
        const auto block = pool->allocate(4096);
        *static_cast<int*>(block->data) = k;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  pool->trim();
  EXPECT_EQ(pool->held_bytes(), 0U);
}

TEST(MemoryPool, RefusesAbsurdSizes) {
  const auto pool = MemoryPool::make();
  for (const std::size_t size : {std::size_t{1} << 50, ~std::size_t{0}}) {
    try {
      pool->allocate(size);
      FAIL() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    }
  }
  EXPECT_EQ(pool->held_bytes(), 0U);
}

}  // namespace
}  // namespace flux2
