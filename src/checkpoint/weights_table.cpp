#include "checkpoint/weights_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

#include "checkpoint/finite.h"
#include "checkpoint/in_quotes.h"
#include "checkpoint/read_ahead.h"
#include "checkpoint/safetensors.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// Appends what is wrong of one kind: the first few tensors and how many there are.
template <typename Items, typename Words>
void append_findings(std::string& message, std::string_view kind, const Items& items,
                     Words words_for) {
  constexpr std::size_t kListed = 3;
  if (items.empty()) return;
  if (!message.empty()) message += "; ";
  message += fmt::format("{} {}: ", items.size(), kind);
  for (std::size_t i = 0; i < std::min(kListed, items.size()); ++i)
    message += (i == 0 ? "" : ", ") + words_for(items[i]);
  if (items.size() > kListed) message += ", ...";
}

// Bytes that the disk is asked for before they are needed: enough to keep it busy while the largest
// weight is packed. Pages of files are no memory of this process.
constexpr std::size_t kReadAhead = std::size_t{256} << 20;

// Gives the member of `entry` its weight; `upload(stored)` makes the tensor of a vector.
template <typename Upload>
void prepare(const WeightsTable::Entry& entry, Ops& ops, const std::vector<StoredTensor>& sources,
             const Tensor& bias, const Upload& upload) {
  switch (entry.kind) {
    case WeightKind::linear:
      *entry.weight = ops.prepare_linear(sources, bias, entry.sensitivity);
      break;
    case WeightKind::conv2d:
      *entry.weight = ops.prepare_conv2d(sources.front(), bias);
      break;
    case WeightKind::embedding:
      *entry.weight = ops.prepare_embedding(sources.front());
      break;
    case WeightKind::vector:
      *entry.vector = upload(sources.front());
      break;
    case WeightKind::unused:
      break;
  }
}

// Loads the entries of a table into their targets.
class Loader {
 public:
  Loader(Ops& ops, const LoadProgress& progress, std::size_t total)
      : ops_(ops), progress_(progress), total_(total) {}

  // What becomes of the tensors as they are loaded; nullptr: nothing.
  void change_by(const WeightsChange* change, const Checkpoint& checkpoint) {
    change_ = change;
    checkpoint_ = &checkpoint;
  }

  // `stored` and `bias` are the tensors of `entry`.
  void fill(const WeightsTable::Entry& entry, const std::vector<StoredTensor>& stored,
            const StoredTensor* bias) {
    for (const StoredTensor& tensor : stored) {
      require_complete(tensor);
      require_finite(tensor);
    }
    const std::vector<StoredTensor> sources = changed(entry, stored);
    const Tensor offsets = bias == nullptr ? Tensor() : upload(*bias);
    if (entry.kind == WeightKind::unused) return;
    prepare(entry, ops_, sources, offsets, [this](const StoredTensor& x) { return upload(x); });
    for (const StoredTensor& tensor : stored)
      finish(tensor);
    if (bias != nullptr) finish(*bias);
    if (progress_) progress_(done_, total_);
  }

  std::size_t done() const { return done_; }

 private:
  std::vector<StoredTensor> changed(const WeightsTable::Entry& entry,
                                    std::vector<StoredTensor> tensors) const {
    for (std::size_t i = 0; i < tensors.size() && change_ != nullptr; ++i) {
      const std::string& name = entry.sources[i].name;
      if (change_->changes(name)) tensors[i] = change_->changed(name, *checkpoint_);
    }
    return tensors;
  }

  Tensor upload(const StoredTensor& tensor) {
    require_finite(tensor);
    return ops_.upload(to_host_tensor(tensor), Role::stream);
  }

  void finish(const StoredTensor& tensor) {
    drop_pages(tensor);
    done_ += tensor.bytes.size();
  }

  Ops& ops_;
  const LoadProgress& progress_;
  const WeightsChange* change_ = nullptr;
  const Checkpoint* checkpoint_ = nullptr;
  std::size_t done_ = 0;
  std::size_t total_;
};

}  // namespace

std::string describe_misfit(const TableFindings::Misfit& misfit) {
  return fmt::format("{} is {} {}, not {} of real numbers", in_quotes(misfit.tensor->name),
                     encoding_of(*misfit.tensor), misfit.tensor->shape.to_string(),
                     misfit.expected.to_string());
}

std::vector<StoredTensor> WeightsTable::sources_of(const Entry& entry,
                                                   const Checkpoint& checkpoint) {
  std::vector<StoredTensor> tensors;
  for (const Source& source : entry.sources) {
    if (const StoredTensor* tensor = checkpoint.find(source.name)) tensors.push_back(*tensor);
  }
  return tensors;
}

std::int64_t WeightsTable::packed_bytes(const Checkpoint& checkpoint, const Ops& ops) const {
  std::int64_t bytes = 0;
  const auto add = [&bytes](const std::vector<Source>& sources, DType type) {
    for (const Source& source : sources)
      bytes += source.shape.elements() * static_cast<std::int64_t>(size_of(type));
  };
  for (const Entry& entry : entries_) {
    if (entry.kind == WeightKind::unused || entry.kind == WeightKind::embedding) continue;
    const bool linear = entry.kind == WeightKind::linear;
    const std::vector<StoredTensor> stored =
        linear ? sources_of(entry, checkpoint) : std::vector<StoredTensor>{};
    add(entry.sources,
        entry.kind == WeightKind::vector ? DType::f32 : ops.linear_type(stored, entry.sensitivity));
    add(entry.bias, DType::f32);
  }
  return bytes;
}

TableFindings WeightsTable::findings(const Checkpoint& checkpoint) const {
  TableFindings result;
  std::set<const StoredTensor*> known;
  std::set<std::string> absent;  // several tensors may be stored as one
  for (const Entry& entry : entries_) {
    for (const std::vector<Source>* sources : {&entry.sources, &entry.bias}) {
      for (const Source& source : *sources) {
        const StoredTensor* tensor = checkpoint.find(source.name);
        if (tensor != nullptr) known.insert(tensor);
        if (entry.kind == WeightKind::unused) continue;
        if (tensor == nullptr) {
          const std::string name = checkpoint.stored_name(source.name);
          if (absent.insert(name).second) result.missing.push_back(name);
        } else if (tensor->shape != source.shape || !holds_numbers(*tensor)) {
          result.misfits.push_back({tensor, source.shape});
        }
      }
    }
  }
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!known.contains(&tensor)) result.surplus.push_back(&tensor);
  }
  return result;
}

void WeightsTable::check(const Checkpoint& checkpoint) const {
  const TableFindings found = findings(checkpoint);
  std::string message;
  append_findings(message, "missing", found.missing,
                  [](const std::string& name) { return in_quotes(name); });
  append_findings(message, "of the wrong shape or type", found.misfits, describe_misfit);
  append_findings(message, "not expected", found.surplus,
                  [](const StoredTensor* tensor) { return in_quotes(tensor->name); });
  if (message.empty()) return;
  throw Error(ErrorCode::bad_file, "tensors do not fit the configuration: " + message,
              checkpoint.path().string(), "weights and config.json belong to different models");
}

void WeightsTable::load(const Checkpoint& checkpoint, Ops& ops, const LoadProgress& progress,
                        const WeightsChange* change) const {
  fill(checkpoint, ops, progress, change, [](const Entry&) { return true; });
}

void WeightsTable::assume(Ops& ops, const Checkpoint* checkpoint) const {
  for (const Entry& entry : entries_) {
    if (entry.kind == WeightKind::unused) continue;
    std::vector<StoredTensor> sources;
    for (const Source& source : entry.sources) {
      const StoredTensor* stored = checkpoint == nullptr ? nullptr : checkpoint->find(source.name);
      sources.push_back(stored == nullptr ? StoredTensor() : *stored);
      sources.back().shape = source.shape;  // whether the file's is the same, load() says
    }
    const Tensor bias = entry.bias.empty() ? Tensor() : make_host_tensor(entry.bias.front().shape);
    prepare(entry, ops, sources, bias, [&ops](const StoredTensor& x) {
      return ops.upload(make_host_tensor(x.shape), Role::stream);
    });
  }
}

void WeightsTable::reload(const std::set<std::string>& names, const Checkpoint& checkpoint,
                          Ops& ops, const LoadProgress& progress,
                          const WeightsChange* change) const {
  fill(checkpoint, ops, progress, change, [&](const Entry& entry) {
    return std::any_of(entry.sources.begin(), entry.sources.end(),
                       [&](const Source& source) { return names.contains(source.name); });
  });
}

void WeightsTable::fill(const Checkpoint& checkpoint, Ops& ops, const LoadProgress& progress,
                        const WeightsChange* change, const EntryFilter& wanted) const {
  struct Stored {
    const Entry* entry;
    std::vector<StoredTensor> sources;
    const StoredTensor* bias;
  };
  check(checkpoint);
  std::vector<Stored> queue;
  std::size_t total = 0;
  for (const Entry& entry : entries_) {
    if (entry.kind == WeightKind::unused || !wanted(entry)) continue;
    assert(entry.kind == WeightKind::vector ? entry.vector != nullptr : entry.weight != nullptr);
    Stored stored{&entry, {}, nullptr};
    for (const Source& source : entry.sources)
      stored.sources.push_back(*checkpoint.find(source.name));
    if (!entry.bias.empty()) stored.bias = checkpoint.find(entry.bias.front().name);
    for (const StoredTensor& tensor : stored.sources)
      total += tensor.bytes.size();
    if (stored.bias != nullptr) total += stored.bias->bytes.size();
    queue.push_back(std::move(stored));
  }
  Loader loader(ops, progress, total);
  loader.change_by(change, checkpoint);
  ReadAhead disk;
  std::size_t asked = 0;        // entries that the disk was asked for
  std::size_t asked_bytes = 0;  // of them
  for (const Stored& stored : queue) {
    // The disk reads ahead while this entry is packed.
    for (; asked < queue.size() && asked_bytes < loader.done() + kReadAhead; ++asked) {
      for (const StoredTensor& tensor : queue[asked].sources) {
        disk.ask(tensor);
        asked_bytes += tensor.bytes.size();
      }
    }
    loader.fill(*stored.entry, stored.sources, stored.bias);
  }
}

WeightsScope WeightsScope::in(const std::string& name) const {
  WeightsScope inner = *this;
  inner.prefix_ += name + ".";
  return inner;
}

WeightsScope WeightsScope::tolerant() const {
  WeightsScope scope = *this;
  scope.sensitivity_ = Sensitivity::tolerant;
  return scope;
}

WeightsScope WeightsScope::in(const std::string& name, std::int64_t index) const {
  return in(fmt::format("{}.{}", name, index));
}

Source WeightsScope::absolute(Source source) const {
  source.name.insert(0, prefix_);
  return source;
}

void WeightsScope::linear(Weight& target, std::vector<Source> row_blocks) const {
  for (Source& block : row_blocks)
    block = absolute(std::move(block));
  table_->add({.kind = WeightKind::linear,
               .sources = std::move(row_blocks),
               .bias = {},
               .weight = &target,
               .sensitivity = sensitivity_});
}

void WeightsScope::linear_with_bias(Weight& target, const std::string& name, std::int64_t out,
                                    std::int64_t in) const {
  table_->add({.kind = WeightKind::linear,
               .sources = {absolute({name + ".weight", {out, in}})},
               .bias = {absolute({name + ".bias", {out}})},
               .weight = &target,
               .sensitivity = sensitivity_});
}

void WeightsScope::conv2d(Weight& target, const std::string& name, std::int64_t out,
                          std::int64_t in, std::int64_t kernel) const {
  table_->add({.kind = WeightKind::conv2d,
               .sources = {absolute({name + ".weight", {out, in, kernel, kernel}})},
               .bias = {absolute({name + ".bias", {out}})},
               .weight = &target});
}

void WeightsScope::embedding(Weight& target, Source source) const {
  table_->add({.kind = WeightKind::embedding,
               .sources = {absolute(std::move(source))},
               .bias = {},
               .weight = &target});
}

void WeightsScope::vector(Tensor& target, Source source) const {
  table_->add({.kind = WeightKind::vector,
               .sources = {absolute(std::move(source))},
               .bias = {},
               .vector = &target});
}

void WeightsScope::unused(Source source) const {
  table_->add({.kind = WeightKind::unused, .sources = {absolute(std::move(source))}, .bias = {}});
}

}  // namespace flux2
