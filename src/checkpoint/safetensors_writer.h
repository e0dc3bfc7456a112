#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "checkpoint/weights_writer.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace flux2 {

/// A tensor of a file that is still to be written.
struct PlannedTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
};

/// Writes a safetensors file of any size piece by piece: the header first, then the elements of
/// all tensors back to back, in the order they were planned in.
class SafetensorsWriter final : public WeightsWriter {
 public:
  /// @throws Error bad_file: cannot be written
  SafetensorsWriter(const std::filesystem::path& path, std::span<const PlannedTensor> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  void write(std::span<const std::byte> bytes) override;
  void commit() override;
  std::uint64_t total() const override { return total_; }
  std::uint64_t written() const override { return written_; }

 private:
  AtomicFile file_;
  std::uint64_t total_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace flux2
