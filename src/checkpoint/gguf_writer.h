#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "checkpoint/encodings/number_encoder.h"
#include "checkpoint/metadata.h"
#include "checkpoint/weights_writer.h"
#include "tensor/shape.h"

namespace flux2 {

/// A tensor of a GGUF file that is still to be written.
struct PlannedBlocks {
  std::string name;
  const NumberEncoder* encoder = nullptr;  ///< its last dimension is whole blocks
  Shape shape;                             ///< in PyTorch's order
};

/// Writes GGUF version 3. Whole numbers of the metadata become 32-bit unsigned ones (64-bit signed
/// where they do not fit), floating ones 32-bit floats.
class GgufWriter final : public WeightsWriter {
 public:
  /// @throws Error bad_file: cannot be written
  GgufWriter(const std::filesystem::path& path, std::span<const PlannedBlocks> tensors,
             const Metadata& metadata);

  void write(std::span<const std::byte> bytes) override;
  void commit() override;
  std::uint64_t total() const override { return total_; }
  std::uint64_t written() const override { return written_; }

 private:
  void pad(std::uint64_t written);

  AtomicFile file_;
  std::vector<std::uint64_t> sizes_;  // of the tensors
  std::size_t current_ = 0;           // the tensor that is written
  std::uint64_t left_ = 0;            // bytes of it
  std::uint64_t total_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace flux2
