// Every form of adapter against its difference, added by plain loops in double.
#include <cmath>

#include "small_model.h"

namespace flux2::test {
namespace {

constexpr const char* kUp = "transformer_blocks.0.ff.linear_in";
constexpr std::int64_t kRows = 2 * SmallModel::kMlp;
constexpr std::int64_t kColumns = SmallModel::kWidth;

Matrix hadamard(Matrix a, const Matrix& b) {
  for (std::size_t i = 0; i < a.values.size(); ++i)
    a.values[i] *= b.values[i];
  return a;
}

Matrix kronecker(const Matrix& a, const Matrix& b) {
  Matrix k(a.rows * b.rows, a.columns * b.columns);
  for (std::int64_t i = 0; i < k.rows; ++i) {
    for (std::int64_t j = 0; j < k.columns; ++j)
      k.at(i, j) = a.at(i / b.rows, j / b.columns) * b.at(i % b.rows, j % b.columns);
  }
  return k;
}

// The lengths of rows, or of columns.
std::vector<double> lengths(const Matrix& a, bool of_rows) {
  std::vector<double> squares(static_cast<std::size_t>(of_rows ? a.rows : a.columns));
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j)
      squares[static_cast<std::size_t>(of_rows ? i : j)] += a.at(i, j) * a.at(i, j);
  }
  for (double& square : squares)
    square = std::sqrt(square);
  return squares;
}

// m a / |a + d| where `a` may differ from what the lengths are of
Matrix rescaled(Matrix a, const std::vector<double>& magnitude, const std::vector<double>& length,
                bool of_rows) {
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.columns; ++j) {
      const auto at = static_cast<std::size_t>(of_rows ? i : j);
      a.at(i, j) *= magnitude[at] / length[at];
    }
  }
  return a;
}

class Differences : public ::testing::Test {
 protected:
  SmallModel model_;
  Tensors file_;
};

TEST_F(Differences, LoraWithAndWithoutAlpha) {
  for (const std::int64_t rank : {1, 3, 4, 7}) {
    Tensors file;
    const Matrix up =
        file.matrix("transformer." + std::string(kUp) + ".lora_B.weight", kRows, rank);
    const Matrix down =
        file.matrix("transformer." + std::string(kUp) + ".lora_A.weight", rank, kColumns);
    expect_near(model_.changed(kUp, terms_of(model_, file)), model_.weight(kUp) + up * down);
    file.number("transformer." + std::string(kUp) + ".alpha", 2);
    expect_near(model_.changed(kUp, terms_of(model_, file)),
                model_.weight(kUp) + 2.0 / static_cast<double>(rank) * (up * down));
  }
}

TEST_F(Differences, WiderThanAPanel) {
  const Matrix up = file_.matrix("x_embedder.lora_up.weight", SmallModel::kWidth, 3);
  const Matrix down = file_.matrix("x_embedder.lora_down.weight", 3, 130);
  expect_near(model_.changed("x_embedder", terms_of(model_, file_)),
              model_.weight("x_embedder") + up * down);
}

TEST_F(Differences, ConvolutionsOfOnePixelAreMatrices) {
  const Matrix up = file_.matrix("proj_out.lora_up.weight", 7, 2);
  const Matrix down = file_.matrix("proj_out.lora_down.weight", 2, kColumns);
  file_.reshape("proj_out.lora_up.weight", {7, 2, 1, 1});
  file_.reshape("proj_out.lora_down.weight", {2, kColumns, 1, 1});
  expect_near(model_.changed("proj_out", terms_of(model_, file_)),
              model_.weight("proj_out") + up * down);
}

TEST_F(Differences, WithAFactorBetween) {
  const Matrix up = file_.matrix("proj_out.lora_up.weight", 7, 3);
  const Matrix mid = file_.matrix("proj_out.lora_mid.weight", 3, 2);
  const Matrix down = file_.matrix("proj_out.lora_down.weight", 2, kColumns);
  expect_near(model_.changed("proj_out", terms_of(model_, file_)),
              model_.weight("proj_out") + up * mid * down);
}

TEST_F(Differences, FusedQueriesKeysAndValues) {
  const Matrix up = file_.matrix("diffusion_model.double_blocks.0.txt_attn.qkv.lora_B.weight",
                                 3 * SmallModel::kWidth, 2);
  const Matrix down =
      file_.matrix("diffusion_model.double_blocks.0.txt_attn.qkv.lora_A.weight", 2, kColumns);
  const AdapterTerms terms = terms_of(model_, file_);
  EXPECT_EQ(terms.size(), 3u);
  std::int64_t row = 0;
  for (const char* name : {"add_q_proj", "add_k_proj", "add_v_proj"}) {
    const std::string module = "transformer_blocks.0.attn." + std::string(name);
    expect_near(model_.changed(module, terms),
                model_.weight(module) + rows_of(up * down, row, SmallModel::kWidth));
    row += SmallModel::kWidth;
  }
}

TEST_F(Differences, HalvesOfTheLastModulation) {
  const std::int64_t half = SmallModel::kWidth;
  const Matrix up =
      file_.matrix("diffusion_model.final_layer.adaLN_modulation.1.lora_B.weight", 2 * half, 2);
  const Matrix down =
      file_.matrix("diffusion_model.final_layer.adaLN_modulation.1.lora_A.weight", 2, kColumns);
  const Matrix difference = up * down;
  Matrix swapped(2 * half, kColumns);
  for (std::int64_t i = 0; i < 2 * half; ++i) {
    for (std::int64_t j = 0; j < kColumns; ++j)
      swapped.at(i, j) = difference.at((i + half) % (2 * half), j);
  }
  const Matrix& weight = model_.weight("norm_out.linear");
  expect_near(model_.changed("norm_out.linear", terms_of(model_, file_)), weight + swapped);
  expect_near(model_.changed("norm_out.linear",
                             terms_of(model_, file_, {.adaln_rows = AdaLnRows::reference})),
              weight + difference);
}

TEST_F(Differences, LohaAndTuckersFactors) {
  const std::string key = std::string(kUp) + ".";
  const Matrix a1 = file_.matrix(key + "hada_w1_a", kRows, 3);
  const Matrix b1 = file_.matrix(key + "hada_w1_b", 3, kColumns);
  const Matrix a2 = file_.matrix(key + "hada_w2_a", kRows, 2);
  const Matrix b2 = file_.matrix(key + "hada_w2_b", 2, kColumns);
  file_.number(key + "alpha", 6);
  expect_near(model_.changed(kUp, terms_of(model_, file_)),
              model_.weight(kUp) + 2 * hadamard(a1 * b1, a2 * b2));

  Tensors tucker;
  const Matrix c1 = tucker.matrix(key + "hada_w1_a", 3, kRows);
  const Matrix t1 = tucker.matrix(key + "hada_t1", 3, 3);
  const Matrix d1 = tucker.matrix(key + "hada_w1_b", 3, kColumns);
  const Matrix c2 = tucker.matrix(key + "hada_w2_a", 2, kRows);
  const Matrix t2 = tucker.matrix(key + "hada_t2", 2, 3);
  const Matrix d2 = tucker.matrix(key + "hada_w2_b", 3, kColumns);
  tucker.reshape(key + "hada_t1", {3, 3, 1, 1});
  expect_near(model_.changed(kUp, terms_of(model_, tucker)),
              model_.weight(kUp) + hadamard(transposed(c1) * t1 * d1, transposed(c2) * t2 * d2));
}

TEST_F(Differences, LokrWholeAndDecomposed) {
  const std::string key = "lycoris_transformer_blocks_0_ff_linear_in.";
  const Matrix w1 = file_.matrix(key + "lokr_w1", 4, 2);
  const Matrix w2 = file_.matrix(key + "lokr_w2", 5, 3);
  file_.number(key + "alpha", 100);  // counts only where a factor is decomposed
  expect_near(model_.changed(kUp, terms_of(model_, file_)), model_.weight(kUp) + kronecker(w1, w2));

  Tensors both;
  const Matrix a1 = both.matrix(key + "lokr_w1_a", 4, 1);
  const Matrix b1 = both.matrix(key + "lokr_w1_b", 1, 2);
  const Matrix a2 = both.matrix(key + "lokr_w2_a", 5, 2);
  const Matrix b2 = both.matrix(key + "lokr_w2_b", 2, 3);
  both.number(key + "alpha", 3);
  expect_near(model_.changed(kUp, terms_of(model_, both)),
              model_.weight(kUp) + 1.5 * kronecker(a1 * b1, a2 * b2));

  Tensors tucker;
  const Matrix w = tucker.matrix(key + "lokr_w1", 4, 2);
  const Matrix a = tucker.matrix(key + "lokr_w2_a", 2, 5);
  const Matrix t = tucker.matrix(key + "lokr_t2", 2, 2);
  const Matrix b = tucker.matrix(key + "lokr_w2_b", 2, 3);
  expect_near(model_.changed(kUp, terms_of(model_, tucker)),
              model_.weight(kUp) + kronecker(w, transposed(a) * t * b));
}

TEST_F(Differences, WholeOnesOfMatricesAndNorms) {
  const Matrix difference = file_.matrix("diffusion_model.img_in.diff", SmallModel::kWidth, 130);
  file_.floats("diffusion_model.double_blocks.0.img_attn.norm.query_norm.w_norm", {3}, {1, 0, -5});
  expect_near(model_.changed("x_embedder", terms_of(model_, file_)),
              model_.weight("x_embedder") + difference);
  const StoredTensor norm =
      AdapterChange(terms_of(model_, file_))
          .changed("transformer_blocks.0.attn.norm_q.weight", model_.checkpoint);
  std::vector<float> values(3);
  read_rows(norm, 0, 3, values.data());
  EXPECT_EQ(values, (std::vector<float>{2, 2, -2}));
}

TEST_F(Differences, DoraOfRowsIsPeftsAndWeightsCountInTheLength) {
  const std::string key = "base_model.model." + std::string(kUp) + ".";
  const Matrix up = file_.matrix(key + "lora_B.weight", kRows, 2);
  const Matrix down = file_.matrix(key + "lora_A.weight", 2, kColumns);
  const Matrix magnitude = file_.matrix(key + "lora_magnitude_vector", kRows, 1);
  file_.reshape(key + "lora_magnitude_vector", {kRows});
  AdapterTerms terms = terms_of(model_, file_);
  terms.begin()->second[0].weight = 0.5;
  const Matrix sum = model_.weight(kUp) + 0.5 * (up * down);
  expect_near(model_.changed(kUp, terms),
              rescaled(sum, magnitude.values, lengths(sum, true), true));
}

TEST_F(Differences, DoraOfColumnsRunsThroughFusedWeights) {
  const std::string key = "lora_unet_double_blocks_0_img_attn_qkv.";
  const Matrix up = file_.matrix(key + "lora_up.weight", 3 * SmallModel::kWidth, 2);
  const Matrix down = file_.matrix(key + "lora_down.weight", 2, kColumns);
  const Matrix magnitude = file_.matrix(key + "dora_scale", 1, kColumns);
  Matrix fused(3 * SmallModel::kWidth, kColumns);
  std::int64_t row = 0;
  for (const char* name : {"to_q", "to_k", "to_v"}) {
    const Matrix& part = model_.weight("transformer_blocks.0.attn." + std::string(name));
    std::copy(part.values.begin(), part.values.end(), &fused.at(row, 0));
    row += SmallModel::kWidth;
  }
  const Matrix sum = fused + up * down;
  const Matrix wanted = rescaled(sum, magnitude.values, lengths(sum, false), false);
  expect_near(model_.changed("transformer_blocks.0.attn.to_k", terms_of(model_, file_)),
              rows_of(wanted, SmallModel::kWidth, SmallModel::kWidth));
}

TEST_F(Differences, DoraOfSwappedColumns) {
  const std::string key = "diffusion_model.final_layer.adaLN_modulation.1.";
  const std::int64_t rows = 2 * SmallModel::kWidth;
  const Matrix up = file_.matrix(key + "lora_up.weight", rows, 2);
  const Matrix down = file_.matrix(key + "lora_down.weight", 2, kColumns);
  const Matrix magnitude = file_.matrix(key + "dora_scale", 1, kColumns);
  Matrix swapped(rows, kColumns);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < kColumns; ++j)
      swapped.at(i, j) = (up * down).at((i + rows / 2) % rows, j);
  }
  const Matrix sum = model_.weight("norm_out.linear") + swapped;
  expect_near(model_.changed("norm_out.linear", terms_of(model_, file_)),
              rescaled(sum, magnitude.values, lengths(sum, false), false));
}

TEST_F(Differences, SeveralFollowOneAnother) {
  const std::string key = std::string(kUp) + ".";
  const Matrix up = file_.matrix(key + "lora_B.weight", kRows, 2);
  const Matrix down = file_.matrix(key + "lora_A.weight", 2, kColumns);
  Tensors dora;
  const Matrix up2 = dora.matrix(key + "lora_B.weight", kRows, 2);
  const Matrix down2 = dora.matrix(key + "lora_A.weight", 2, kColumns);
  const Matrix magnitude = dora.matrix(key + "dora_scale", kRows, 1);
  AdapterTerms terms = terms_of(model_, file_);
  const AdapterTerms more = terms_of(model_, dora);
  terms.begin()->second.push_back(more.begin()->second[0]);
  const Matrix& weight = model_.weight(kUp);
  const Matrix alone = weight + up2 * down2;
  expect_near(model_.changed(kUp, terms),
              rescaled(alone + up * down, magnitude.values, lengths(alone, true), true));
}

}  // namespace
}  // namespace flux2::test
