#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backends/cpu/int8_quantizer.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/tensor_copy.h"
#include "checkpoint/weights_table.h"

namespace flux2 {

/// The weights of one part with its tolerant layers as 8-bit integers (docs/int8.md), in the order
/// they are written.
class QuantizedPart {
 public:
  /// @param checkpoint  must outlive this, as must `table`
  QuantizedPart(const Checkpoint& checkpoint, const WeightsTable& table);

  /// Bytes of the tensors that write() will write.
  std::int64_t bytes() const;
  std::int64_t tensors() const { return static_cast<std::int64_t>(planned_.size()); }
  std::int64_t layers() const { return layers_; }
  std::int64_t rotated() const { return rotated_; }

  /// @param report  called between pieces with the bytes that are written; may throw to end it
  /// @throws Error bad_file: NaN or infinity, the disk is full
  void write(const std::filesystem::path& file,
             const std::function<void(std::int64_t written)>& report) const;

 private:
  using Report = std::function<void()>;
  using Write = std::function<void(WeightsWriter& writer, const Report& report)>;
  // A linear layer: its row blocks share their inputs, and so their rotation.
  struct Layer {
    std::vector<StoredTensor> blocks;
    std::unique_ptr<Int8Quantizer> quantizer;
  };

  void add(PlannedTensor tensor, Write write);
  void add_layer(const WeightsTable::Entry& entry);
  void add_block(const std::string& name, const std::shared_ptr<const Layer>& layer,
                 const StoredTensor& block, std::int64_t first_row);
  void add_copy(const std::string& name, const StoredTensor& tensor);

  const Checkpoint& checkpoint_;
  const Int8Kernels& kernels_;
  std::vector<PlannedTensor> planned_;
  std::vector<Write> writes_;  // of the planned tensors, in order
  std::set<std::string> quantized_;
  std::int64_t layers_ = 0;
  std::int64_t rotated_ = 0;
};

}  // namespace flux2
