#include "adapters/adapter_change.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "adapters/delta.h"
#include "checkpoint/row_views.h"

namespace flux2 {
namespace {

constexpr std::int64_t kRowsTogether = 32;

std::vector<float> floats_of(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  read_rows(tensor, 0, tensor.shape[0], values.data());
  return values;
}

// What an adapter does to the rows of one weight.
class Term {
 public:
  Term(const AdapterTerm& term, const Checkpoint& checkpoint)
      : delta_(make_delta(*term.plan)),
        scale_(static_cast<float>(term.plan->scale * term.weight)),
        swapped_(term.swapped),
        by_columns_(term.plan->by_columns) {
    const ModuleTargets& targets = *term.targets;
    rows_ = targets[term.target].shape[0];
    width_ = targets[term.target].shape.elements() / rows_;
    for (std::size_t i = 0; i < term.target; ++i)
      first_ += targets[i].shape[0];
    if (!term.plan->magnitude) return;
    magnitude_ = floats_of(*term.plan->magnitude);
    if (by_columns_) divide_by_column_lengths(targets, checkpoint);
  }

  bool rescales() const { return !magnitude_.empty(); }

  // Adds to `rows`, which are rows [begin, begin + count) of the weight.
  // @param base  the same rows before any adapter; needed where the term rescales
  void add(std::int64_t begin, std::int64_t count, const float* base, float* rows) const {
    for (std::int64_t done = 0; done < count;) {
      const auto [source, run] = source_of(begin + done);
      const std::int64_t taken = std::min(run, count - done);
      if (rescales()) {
        add_rescaled(source, taken, base + done * width_, rows + done * width_);
      } else {
        delta_->add(source, taken, scale_, rows + done * width_);
      }
      done += taken;
    }
  }

 private:
  struct Run {
    std::int64_t row;    // of the module
    std::int64_t count;  // that follow one another from there on
  };

  Run source_of(std::int64_t row) const {
    const std::int64_t half = rows_ / 2;
    if (!swapped_) return {first_ + row, rows_ - row};
    return row < half ? Run{first_ + row + half, half - row}
                      : Run{first_ + row - half, rows_ - row};
  }

  void add_rescaled(std::int64_t source, std::int64_t count, const float* base, float* rows) const {
    std::vector<float> difference(static_cast<std::size_t>(count * width_));
    delta_->add(source, count, scale_, difference.data());
    for (std::int64_t row = 0; row < count; ++row) {
      const float* added = difference.data() + row * width_;
      const float factor = by_columns_ ? 0 : row_factor(source + row, base + row * width_, added);
      for (std::int64_t j = 0; j < width_; ++j) {
        const float by = by_columns_ ? magnitude_[static_cast<std::size_t>(j)] : factor;
        rows[row * width_ + j] = by * (rows[row * width_ + j] + added[j]);
      }
    }
  }

  // m / |W + w s D| of a row of the module
  float row_factor(std::int64_t row, const float* base, const float* added) const {
    double squares = 0;
    for (std::int64_t j = 0; j < width_; ++j) {
      const auto sum = static_cast<double>(base[j] + added[j]);
      squares += sum * sum;
    }
    const float length = static_cast<float>(std::sqrt(squares));
    return length > 0 ? magnitude_[static_cast<std::size_t>(row)] / length : 0;
  }

  // Columns run through all weights of the module.
  void divide_by_column_lengths(const ModuleTargets& targets, const Checkpoint& checkpoint) {
    std::vector<double> squares(magnitude_.size());
    std::vector<float> row(magnitude_.size());
    std::int64_t of_module = 0;
    for (const ModuleTarget& target : targets) {
      const StoredTensor& weight = *checkpoint.find(target.weight);
      const std::int64_t half = target.shape[0] / 2;
      for (std::int64_t i = 0; i < target.shape[0]; ++i, ++of_module) {
        const std::int64_t stored = swapped_ ? (i < half ? i + half : i - half) : i;
        read_rows(weight, stored, 1, row.data());
        delta_->add(of_module, 1, scale_, row.data());
        for (std::size_t j = 0; j < row.size(); ++j)
          squares[j] += static_cast<double>(row[j]) * static_cast<double>(row[j]);
      }
    }
    for (std::size_t j = 0; j < magnitude_.size(); ++j) {
      const double length = std::sqrt(squares[j]);
      magnitude_[j] =
          length > 0 ? static_cast<float>(static_cast<double>(magnitude_[j]) / length) : 0;
    }
  }

  std::unique_ptr<const Delta> delta_;
  float scale_;
  bool swapped_;
  bool by_columns_;
  std::int64_t first_ = 0;  // row of the module where the weight begins
  std::int64_t rows_ = 0;   // of the weight
  std::int64_t width_ = 0;
  std::vector<float> magnitude_;  // of rows; of columns: divided by their lengths already
};

class ChangedRows : public RowDecoder {
 public:
  ChangedRows(StoredTensor base, std::vector<Term> terms)
      : base_(std::move(base)), terms_(std::move(terms)) {
    rescales_ =
        std::any_of(terms_.begin(), terms_.end(), [](const Term& term) { return term.rescales(); });
  }

  std::string_view name() const override { return encoding_of(base_); }
  // The lower factors are read once for all of them.
  std::int64_t rows_together() const override {
    return std::max<std::int64_t>(kRowsTogether, flux2::rows_together(base_));
  }
  void decode(const StoredTensor&, std::int64_t begin, std::int64_t count,
              float* rows) const override {
    const std::int64_t width = row_elements(base_);
    read_rows(base_, begin, count, rows);
    std::vector<float> base;
    if (rescales_) base.assign(rows, rows + count * width);
    for (const Term& term : terms_)
      term.add(begin, count, base.data(), rows);
  }

 private:
  StoredTensor base_;
  std::vector<Term> terms_;
  bool rescales_ = false;
};

}  // namespace

StoredTensor AdapterChange::changed(const std::string& name, const Checkpoint& checkpoint) const {
  const StoredTensor& base = *checkpoint.find(name);
  std::vector<Term> terms;
  for (const AdapterTerm& term : terms_.at(name))
    terms.emplace_back(term, checkpoint);
  StoredTensor result = base;
  result.decoder = std::make_shared<ChangedRows>(base, std::move(terms));
  return result;
}

}  // namespace flux2
