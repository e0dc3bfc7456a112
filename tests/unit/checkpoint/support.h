#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "flux2/error.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace flux2::test {

/// The checkpoints that Diffusers wrote.
std::filesystem::path golden_checkpoints();

/// A folder of its own for the running test, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write_text(const std::filesystem::path& path, std::string_view text);
std::string read_text(const std::filesystem::path& path);

/// The bytes of a safetensors file: the length of `header`, `header`, `data_bytes` zeros.
std::string safetensors_bytes(std::string_view header, std::size_t data_bytes = 0);

/// A StoredTensor on `bytes`, which the caller keeps.
StoredTensor stored(DType dtype, const Shape& shape, const void* bytes);

/// Runs `body`, which must throw an Error bad_file of one line; returns that line.
std::string refusal_of(const std::function<void()>& body);

/// Expects `line` to hold `part`.
void expect_part(const std::string& line, std::string_view part);

}  // namespace flux2::test
