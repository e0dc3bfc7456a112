#include "backends/cpu/memory_pool.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <thread>
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
