#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/weights_change.h"
#include "ops/ops.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace flux2 {

/// One stored tensor that a model expects.
struct Source {
  std::string name;  ///< relative to the scope that declares it
  Shape shape;
};

/// What becomes of a declared tensor.
enum class WeightKind { linear, conv2d, embedding, vector, unused };

/// How files differ from what a model expects of them.
struct TableFindings {
  struct Misfit {
    const StoredTensor* tensor;
    Shape expected;
  };
  std::vector<std::string> missing;  ///< as the files would call them, each once
  std::vector<Misfit> misfits;       ///< of the wrong shape or type
  std::vector<const StoredTensor*> surplus;
};

/// "X is BF16 [2, 3], not [3, 2] of real numbers"
std::string describe_misfit(const TableFindings::Misfit& misfit);

/// Progress of loading, in stored bytes.
using LoadProgress = std::function<void(std::size_t done, std::size_t total)>;

/// Every tensor of a model: its name, its shape, and the member it is loaded into. The one
/// declaration that drives loading, `flux2 verify` and the errors of both.
///
/// A target must stay where it is until load() returns.
class WeightsTable {
 public:
  struct Entry {
    WeightKind kind = WeightKind::unused;
    std::vector<Source> sources;  ///< row blocks of a linear layer; else one
    std::vector<Source> bias;     ///< none or one
    Weight* weight = nullptr;     ///< target of linear, conv2d, embedding
    Tensor* vector = nullptr;     ///< target of vector: f32, a stream on the backend
    Sensitivity sensitivity = Sensitivity::sensitive;  ///< of a linear layer
  };

  void add(Entry entry) { entries_.push_back(std::move(entry)); }

  /// Makes every tensor whose name starts with `prefix` unused: known, but never read.
  void skip(std::string_view prefix) {
    for (Entry& entry : entries_) {
      if (entry.sources.front().name.starts_with(prefix)) {
        entry = {WeightKind::unused, std::move(entry.sources), std::move(entry.bias)};
      }
    }
  }

  const std::vector<Entry>& entries() const { return entries_; }

  /// The tensors that `entry` is made of, without its bias. One that is missing is left out.
  static std::vector<StoredTensor> sources_of(const Entry& entry, const Checkpoint& checkpoint);

  /// Bytes that load() has `ops` keep, bar padding: without what is unused, and without embedding
  /// tables, which stay in the file.
  std::int64_t packed_bytes(const Checkpoint& checkpoint, const Ops& ops) const;

  /// Holds the table against the files; unused tensors may be there or not. The pointers are into
  /// `checkpoint`.
  TableFindings findings(const Checkpoint& checkpoint) const;

  /// Nothing may differ: every declared tensor is there, with its shape and a
  /// floating type, and nothing else is.
  /// @throws Error bad_file: names the first tensors that are missing, surplus or misshapen, and
  ///         how many there are of each
  void check(const Checkpoint& checkpoint) const;

  /// check(), then fills every target in order, dropping the pages of a tensor once it is packed.
  /// @param change  what becomes of some tensors on the way; nullptr: nothing
  /// @throws Error bad_file: additionally, a tensor that holds NaN or infinity
  void load(const Checkpoint& checkpoint, Ops& ops, const LoadProgress& progress = {},
            const WeightsChange* change = nullptr) const;

  /// The same for the targets that are made of a tensor in `names` alone; others stay what an
  /// earlier load() made them. Names that are unused or unknown are passed over.
  /// @throws Error as load(); the model is then to be loaded anew
  void reload(const std::set<std::string>& names, const Checkpoint& checkpoint, Ops& ops,
              const LoadProgress& progress = {}, const WeightsChange* change = nullptr) const;

  /// Gives every target its weights as load() does, but looks at no number: for operations that
  /// don't either.
  /// @param checkpoint  how tensors are stored; nullptr: their shapes are all that is known
  void assume(Ops& ops, const Checkpoint* checkpoint = nullptr) const;

 private:
  using EntryFilter = std::function<bool(const Entry&)>;
  void fill(const Checkpoint& checkpoint, Ops& ops, const LoadProgress& progress,
            const WeightsChange* change, const EntryFilter& wanted) const;

  std::vector<Entry> entries_;
};

/// A prefix of names in a WeightsTable: how a block declares its tensors without knowing where in
/// the model it stands.
class WeightsScope {
 public:
  explicit WeightsScope(WeightsTable& table, std::string prefix = {})
      : table_(&table), prefix_(std::move(prefix)) {}

  /// "prefix.name."
  WeightsScope in(const std::string& name) const;
  /// "prefix.name.index."
  WeightsScope in(const std::string& name, std::int64_t index) const;
  /// The same prefix, for linear layers that may be computed in fewer bits.
  WeightsScope tolerant() const;

  /// Row blocks stacked into one linear layer without bias.
  void linear(Weight& target, std::vector<Source> row_blocks) const;
  /// NAME.weight [out, in] and NAME.bias [out].
  void linear_with_bias(Weight& target, const std::string& name, std::int64_t out,
                        std::int64_t in) const;
  /// NAME.weight [out, in, kernel, kernel] and NAME.bias [out].
  void conv2d(Weight& target, const std::string& name, std::int64_t out, std::int64_t in,
              std::int64_t kernel) const;
  void embedding(Weight& target, Source source) const;
  void vector(Tensor& target, Source source) const;
  /// Part of the checkpoint, not needed here: its pages are never read.
  void unused(Source source) const;

 private:
  Source absolute(Source source) const;

  WeightsTable* table_;
  std::string prefix_;
  Sensitivity sensitivity_ = Sensitivity::sensitive;
};

}  // namespace flux2
