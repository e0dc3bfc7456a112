#include "support.h"

#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>

namespace flux2::test {

namespace fs = std::filesystem;

fs::path golden_checkpoints() {
  return fs::path(FLUX2_SOURCE_DIR) / "tests/goldens/data/checkpoints";
}

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> counter{0};
  path_ = fs::temp_directory_path() /
          ("flux2-checkpoint-" + std::to_string(getpid()) + "-" + std::to_string(counter++));
  fs::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  ASSERT_TRUE(file.good()) << path;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string safetensors_bytes(std::string_view header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  bytes.append(header);
  bytes.append(data_bytes, '\0');
  return bytes;
}

StoredTensor stored(DType dtype, const Shape& shape, const void* bytes) {
  return {.name = "tensor",
          .file = "file.safetensors",
          .dtype = dtype,
          .shape = shape,
          .bytes = {static_cast<const std::byte*>(bytes), bytes_for(shape, dtype)},
          .owner = nullptr};
}

std::string refusal_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file) << error.what();
    const std::string line = error.what();
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_LT(line.size(), 2000u);
    return line;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

void expect_part(const std::string& line, std::string_view part) {
  EXPECT_NE(line.find(part), std::string::npos) << "no '" << part << "' in: " << line;
}

}  // namespace flux2::test
