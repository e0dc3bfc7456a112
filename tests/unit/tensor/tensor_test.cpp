#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <numeric>

#include "flux2/error.h"

namespace flux2 {
namespace {

Tensor counting(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  std::iota(values.begin(), values.end(), 0.0f);
  return make_host_tensor(shape, values);
}

TEST(Shape, KnowsItsDimensions) {
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape.elements(), 24);
  EXPECT_EQ(shape.to_string(), "[2, 3, 4]");
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape().to_string(), "[]");
  EXPECT_EQ((Shape{3, 0}).elements(), 0);
}

TEST(Shape, ComparesRankAndDimensions) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
}

TEST(Shape, RefusesMoreDimensionsThanItHolds) {
  const std::vector<std::int64_t> dims(7, 1);
  EXPECT_THROW(Shape(std::span<const std::int64_t>(dims)), Error);
}

TEST(Tensor, IsDenseAndAligned) {
  const Tensor tensor = make_host_tensor({2, 3, 4});
  EXPECT_TRUE(tensor.is_dense());
  EXPECT_EQ(tensor.stride(0), 12);
  EXPECT_EQ(tensor.stride(-1), 1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes()) % 64, 0u);
  EXPECT_FALSE(Tensor().defined());
  EXPECT_EQ(Tensor().bytes(), nullptr);
}

TEST(Tensor, SlicesEveryAxis) {
  const Tensor whole = counting({2, 3, 4});
  EXPECT_EQ(to_vector(whole.slice(0, 1, 1)),
            std::vector<float>({12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}));
  EXPECT_EQ(to_vector(whole.slice(1, 1, 1)), std::vector<float>({4, 5, 6, 7, 16, 17, 18, 19}));
  EXPECT_EQ(to_vector(whole.slice(-1, 1, 2).slice(1, 0, 2)),
            std::vector<float>({1, 2, 5, 6, 13, 14, 17, 18}));
  EXPECT_FALSE(whole.slice(2, 1, 2).is_dense());
  EXPECT_TRUE(whole.slice(0, 1, 1).is_dense());
}

TEST(Tensor, AViewWritesToTheSameMemoryAndKeepsIt) {
  Tensor view;
  {
    const Tensor whole = counting({4});
    view = whole.slice(0, 2, 2);
    whole.f32()[2] = 50;
  }
  EXPECT_EQ(to_vector(view), std::vector<float>({50, 3}));
}

TEST(Tensor, AnIndexTakesTheFirstAxisAway) {
  const Tensor whole = counting({2, 3, 4});
  const Tensor part = whole.slice(2, 1, 2)[1];
  EXPECT_EQ(part.shape(), (Shape{3, 2}));
  EXPECT_EQ(part.stride(0), 4);
  EXPECT_EQ(to_vector(part), std::vector<float>({13, 14, 17, 18, 21, 22}));
}

TEST(Tensor, ViewsSplitAndMergeDimensions) {
  const Tensor whole = counting({2, 3, 8});
  const Tensor columns = whole.slice(2, 2, 4);
  const Tensor heads = columns.view({2, 3, 2, 2});
  EXPECT_EQ(heads.stride(1), 8);
  EXPECT_EQ(heads.stride(2), 2);
  EXPECT_EQ(to_vector(heads), to_vector(columns));
  const Tensor rows = columns.view({6, 4});
  EXPECT_EQ(rows.stride(0), 8);
  EXPECT_EQ(to_vector(rows), to_vector(columns));
  EXPECT_EQ(to_vector(whole.view({48})), to_vector(whole));
  EXPECT_EQ(columns.view({2, 1, 3, 1, 4}).view({2, 3, 4}).stride(1), 8);
}

TEST(Tensor, MayHaveNoElements) {
  const Tensor none = counting({2, 3, 4}).slice(1, 1, 0);
  EXPECT_EQ(none.view({0, 2, 2}).shape(), (Shape{0, 2, 2}));
  EXPECT_EQ(none.view({2, 0}).elements(), 0);
  EXPECT_TRUE(to_vector(none).empty());
  EXPECT_TRUE(to_vector(counting({2, 3, 4}).slice(2, 1, 2).slice(0, 0, 0)).empty());
}

TEST(Tensor, RefusesAViewThatWouldMoveElements) {
  const Tensor columns = counting({2, 3, 8}).slice(2, 2, 4);
  EXPECT_THROW(columns.view({2, 12}), Error);
  EXPECT_THROW(counting({2, 3, 8}).slice(1, 0, 2).view({4, 8}), Error);
}

TEST(Tensor, VectorsConvertElements) {
  const Tensor tensor = make_host_tensor({2, 2}, DType::bf16);
  for (int i = 0; i < 4; ++i)
    tensor.bf16()[i] = BFloat16(static_cast<float>(i) + 0.5f);
  EXPECT_EQ(to_vector(tensor), std::vector<float>({0.5f, 1.5f, 2.5f, 3.5f}));
  EXPECT_EQ(to_vector(tensor.slice(1, 1, 1)), std::vector<float>({1.5f, 3.5f}));
}

TEST(Tensor, AnImpossibleSizeIsAnError) {
  try {
    make_host_tensor({std::int64_t{1} << 58});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  }
}

}  // namespace
}  // namespace flux2
