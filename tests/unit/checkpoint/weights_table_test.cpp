#include "checkpoint/weights_table.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "backends/reference/reference_ops.h"
#include "checkpoint/safetensors.h"
#include "support.h"

namespace flux2::test {
namespace {

using Floats = std::vector<float>;

Tensor counting(const Shape& shape, float first = 0) {
  Floats values(static_cast<std::size_t>(shape.elements()));
  std::iota(values.begin(), values.end(), first);
  return make_host_tensor(shape, values);
}

// A model with one tensor of every kind, as a table and as a file.
struct SmallModel {
  Weight qk, proj, conv, embedding;
  Tensor norm;
  WeightsTable table;
  std::map<std::string, Tensor> tensors;
  TemporaryFolder folder;
  std::unique_ptr<Ops> ops = make_reference_ops();

  SmallModel() {
    const WeightsScope block = WeightsScope(table).in("blocks", 3);
    block.linear(qk, {{"q.weight", {1, 2}}, {"k.weight", {2, 2}}});
    block.in("out").linear_with_bias(proj, "proj", 2, 3);
    block.conv2d(conv, "conv", 1, 1, 3);
    block.embedding(embedding, {"table", {4, 2}});
    block.vector(norm, {"norm", {2}});
    block.unused({"tracked", {}});
    tensors = {{"blocks.3.q.weight", counting({1, 2}, 1)},
               {"blocks.3.k.weight", counting({2, 2}, 3)},
               {"blocks.3.out.proj.weight", counting({2, 3})},
               {"blocks.3.out.proj.bias", counting({2}, 10)},
               {"blocks.3.conv.weight", counting({1, 1, 3, 3})},
               {"blocks.3.conv.bias", counting({1})},
               {"blocks.3.table", counting({4, 2})},
               {"blocks.3.norm", counting({2}, 5)}};
  }

  Checkpoint checkpoint() {
    write_safetensors(folder / "model.safetensors", tensors);
    return Checkpoint::open(folder.path(), "model");
  }
  std::string refusal() {
    const Checkpoint files = checkpoint();
    return refusal_of([&] { table.load(files, *ops); });
  }
};

TEST(WeightsTable, FillsEveryTarget) {
  SmallModel model;
  const Checkpoint files = model.checkpoint();
  std::vector<std::size_t> steps;
  model.table.load(files, *model.ops, [&](std::size_t done, std::size_t total) {
    EXPECT_EQ(total, files.bytes());
    steps.push_back(done);
  });
  EXPECT_EQ(steps.size(), 5u);
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_EQ(steps.back(), files.bytes());

  const Tensor x = make_host_tensor({1, 2}, std::array{1.0f, 10.0f});
  EXPECT_EQ(to_vector(model.ops->linear(x, model.qk)), (Floats{21, 43, 65}));
  const Tensor y = make_host_tensor({1, 3}, std::array{1.0f, 1.0f, 1.0f});
  EXPECT_EQ(to_vector(model.ops->linear(y, model.proj)), (Floats{3 + 10, 12 + 11}));
  EXPECT_EQ(to_vector(model.norm), (Floats{5, 6}));
  EXPECT_EQ(model.conv.shape(), Shape({1, 1, 3, 3}));
  const Tensor row = model.ops->empty({1, 2}, Role::stream);
  const std::array<std::int32_t, 1> ids = {3};
  model.ops->embedding(ids, model.embedding, row);
  EXPECT_EQ(to_vector(row), (Floats{6, 7}));
}

TEST(WeightsTable, WidensHalfPrecision) {
  SmallModel model;
  Tensor halves = make_host_tensor({2}, DType::bf16);
  halves.bf16()[0] = BFloat16(1.5f);
  halves.bf16()[1] = BFloat16(-2.0f);
  model.tensors["blocks.3.norm"] = halves;
  model.table.load(model.checkpoint(), *model.ops);
  EXPECT_EQ(model.norm.dtype(), DType::f32);
  EXPECT_EQ(to_vector(model.norm), (Floats{1.5f, -2.0f}));
}

TEST(WeightsTable, TakesUnusedTensorsOrNone) {
  SmallModel model;
  model.tensors["blocks.3.tracked"] = make_host_tensor({7}, DType::i64);
  model.table.check(model.checkpoint());
}

TEST(WeightsTable, SkipsAPrefixThatMayThenBeAbsentOrDamaged) {
  SmallModel model;
  model.tensors["blocks.3.conv.bias"].f32()[0] = std::nanf("");
  model.tensors.erase("blocks.3.conv.weight");
  model.table.skip("blocks.3.conv");
  model.table.load(model.checkpoint(), *model.ops);
  EXPECT_FALSE(model.conv.defined());
  EXPECT_TRUE(model.proj.defined());
}

TEST(WeightsTable, ListsWhatIsMissingMisshapenAndSurplus) {
  SmallModel model;
  model.tensors.erase("blocks.3.q.weight");
  model.tensors.erase("blocks.3.conv.bias");
  model.tensors["blocks.3.norm"] = counting({3});
  model.tensors["blocks.3.table"] = make_host_tensor({4, 2}, DType::i32);
  for (const char* name : {"extra.0", "extra.1", "extra.2", "extra.3"})
    model.tensors[name] = counting({1});
  const std::string line = model.refusal();
  expect_part(line, model.folder.path().string());
  expect_part(line, "2 missing: \"blocks.3.q.weight\", \"blocks.3.conv.bias\"");
  expect_part(line, "\"blocks.3.norm\" is F32 [3], not [2]");
  expect_part(line, "\"blocks.3.table\" is I32 [4, 2]");
  expect_part(line, "4 not expected: \"extra.0\", \"extra.1\", \"extra.2\", ...");
}

TEST(WeightsTable, FindsNanInEveryKindOfTarget) {
  for (const auto& [name, tensor] : SmallModel().tensors) {
    SmallModel model;
    Tensor& damaged = model.tensors.at(name);
    damaged.f32()[damaged.elements() - 1] = std::nanf("");
    const std::string line = model.refusal();
    expect_part(line, "\"" + name + "\"");
    expect_part(line, "element " + std::to_string(damaged.elements() - 1) + " is NaN");
    expect_part(line, "model.safetensors");
  }
}

TEST(WeightsTable, ErrorsFromTheCallbackStopLoading) {
  SmallModel model;
  const Checkpoint files = model.checkpoint();
  const auto cancel = [](std::size_t, std::size_t) {
    throw Error(ErrorCode::cancelled, "stopped");
  };
  EXPECT_THROW(model.table.load(files, *model.ops, cancel), Error);
  EXPECT_TRUE(model.qk.defined());
  EXPECT_FALSE(model.norm.defined());
}

// Adds a number to the tensors whose names it has.
struct AddedNumber : WeightsChange, RowDecoder {
  std::set<std::string> names;
  float number = 0;

  bool changes(const std::string& name) const override { return names.contains(name); }
  StoredTensor changed(const std::string& name, const Checkpoint& checkpoint) const override {
    StoredTensor tensor = *checkpoint.find(name);
    tensor.decoder = std::shared_ptr<const RowDecoder>(std::shared_ptr<void>(), this);
    return tensor;
  }
  std::string_view name() const override { return "changed"; }
  void decode(const StoredTensor& stored, std::int64_t begin, std::int64_t count,
              float* rows) const override {
    StoredTensor plain = stored;
    plain.decoder = nullptr;
    read_rows(plain, begin, count, rows);
    for (std::int64_t i = 0; i < count * row_elements(stored); ++i)
      rows[i] += number;
  }
};

TEST(WeightsTable, ChangesAndReloadsWhatIsNamed) {
  SmallModel model;
  const Checkpoint files = model.checkpoint();
  AddedNumber change;
  change.names = {"blocks.3.k.weight", "blocks.3.norm"};
  change.number = 100;
  const auto product = [&] {
    return to_vector(model.ops->linear(counting({1, 2}, 1), model.qk, Role::stream));
  };
  model.table.load(files, *model.ops, {}, &change);
  EXPECT_EQ(product(), (Floats{5, 311, 317}));
  EXPECT_EQ(to_vector(model.norm), (Floats{105, 106}));

  std::vector<std::size_t> totals;
  model.table.reload({"blocks.3.k.weight", "absent", "blocks.3.tracked"}, files, *model.ops,
                     [&](std::size_t, std::size_t total) { totals.push_back(total); });
  EXPECT_EQ(product(), (Floats{5, 11, 17}));
  EXPECT_EQ(to_vector(model.norm), (Floats{105, 106}));
  EXPECT_EQ(totals, std::vector<std::size_t>{6 * sizeof(float)});
  model.table.reload(change.names, files, *model.ops);
  EXPECT_EQ(to_vector(model.norm), (Floats{5, 6}));
}

}  // namespace
}  // namespace flux2::test
