#include "backends/cpu/cpu_ops.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/parallel.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

std::vector<float> ramp(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(i % 13) - 6.0f);
  return values;
}

// A weight whose bytes start `shift` bytes off any alignment, as they may in a file.
StoredTensor stored(const Shape& shape, DType dtype, std::size_t shift) {
  const std::vector<float> values = ramp(shape.elements());
  const std::size_t size = bytes_for(shape, dtype);
  std::vector<std::byte> converted(size);
  convert_from_float(values.data(), dtype, converted.data(), values.size());
  auto bytes = std::make_shared<std::vector<std::byte>>(size + shift);
  std::memcpy(bytes->data() + shift, converted.data(), size);
  return {.name = "weight",
          .file = "test",
          .dtype = dtype,
          .shape = shape,
          .bytes = std::span<const std::byte>(*bytes).subspan(shift),
          .owner = bytes};
}

std::vector<float> product(Ops& ops, const Weight& weight, std::int64_t rows) {
  const Tensor x =
      make_host_tensor({rows, weight.in_features()}, ramp(rows * weight.in_features()));
  return to_vector(ops.download(ops.linear(x, weight, Role::stream)));
}

// Small whole numbers: every order of summation gives the same floats.
std::vector<float> expected_product(const StoredTensor& weight, std::int64_t rows) {
  const std::int64_t in = weight.shape[1], out = weight.shape[0];
  const std::vector<float> x = ramp(rows * in), w = ramp(out * in);
  std::vector<float> result;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      float sum = 0;
      for (std::int64_t k = 0; k < in; ++k)
        sum += x[static_cast<std::size_t>(r * in + k)] * w[static_cast<std::size_t>(o * in + k)];
      result.push_back(sum);
    }
  }
  return result;
}

TEST(CpuOps, SaysWhatItComputesWith) {
  EXPECT_EQ(make_cpu_ops({.compute = ComputeType::f32, .most = Isa::avx2})->name(), "cpu f32 avx2");
}

TEST(CpuOps, PacksWeightsFromUnalignedBytes) {
  const auto ops = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const StoredTensor weight = stored({17, 40}, dtype, 3);
    const Weight prepared = ops->prepare_linear({&weight, 1}, {});
    EXPECT_EQ(product(*ops, prepared, 5), expected_product(weight, 5)) << name_of(dtype);
  }
}

TEST(CpuOps, AnyNumberOfThreadsGivesTheSameProducts) {
  const auto ops = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
  const StoredTensor weight = stored({200, 40}, DType::bf16, 0);
  const int before = thread_count();
  for (const int threads : {1, 2, 3, 7, 16, 33, 64}) {
    set_thread_count(threads);
    const Weight prepared = ops->prepare_linear({&weight, 1}, {});
    EXPECT_EQ(product(*ops, prepared, 70), expected_product(weight, 70)) << threads;
  }
  set_thread_count(before);
}

TEST(CpuOps, ManyShapesOutgrowTheKeptPrimitives) {
  const auto ops = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
  const StoredTensor weight = stored({5, 7}, DType::f32, 0);
  const Weight prepared = ops->prepare_linear({&weight, 1}, {});
  for (std::int64_t rows = 1; rows <= 300; ++rows)
    ASSERT_EQ(product(*ops, prepared, rows), expected_product(weight, rows)) << rows;
  EXPECT_EQ(product(*ops, prepared, 1), expected_product(weight, 1));
}

TEST(CpuOps, RefusesWeightsThatAreNotNumbers) {
  const auto ops = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
  StoredTensor weight = stored({4, 4}, DType::f32, 0);
  weight.dtype = DType::i32;
  try {
    ops->prepare_linear({&weight, 1}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_EQ(error.where(), "test");
  }
}

TEST(CpuOps, TensorsAndWeightsMayOutliveTheBackend) {
  Tensor tensor;
  Weight weight;
  {
    const auto ops = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
    const StoredTensor rows = stored({4, 4}, DType::f32, 0);
    weight = ops->prepare_linear({&rows, 1}, {});
    tensor = ops->upload(make_host_tensor({3}, std::vector<float>{1, 2, 3}), Role::stream);
  }
  EXPECT_EQ(to_vector(tensor), std::vector<float>({1, 2, 3}));
}

}  // namespace
}  // namespace flux2
