#include "checkpoint/read_ahead.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/mapped_file.h"
#include "support.h"

namespace flux2::test {
namespace {

constexpr long kTmpfs = 0x01021994;  // TMPFS_MAGIC: memory alone, nothing to be read

// Of all pages of `file`, how many the page cache holds.
std::size_t cached_pages(const MappedFile& file) {
  std::vector<unsigned char> pages(file.bytes().size() / static_cast<std::size_t>(getpagesize()));
  mincore(const_cast<std::byte*>(file.bytes().data()), file.bytes().size(), pages.data());
  return static_cast<std::size_t>(std::count_if(
      pages.begin(), pages.end(), [](unsigned char page) { return (page & 1U) != 0; }));
}

void forget(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  fsync(descriptor);
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  close(descriptor);
}

StoredTensor whole(const std::shared_ptr<const MappedFile>& file) {
  const auto size = static_cast<std::int64_t>(file->bytes().size());
  return {.name = "a",
          .file = "a",
          .dtype = DType::u8,
          .shape = {size},
          .bytes = file->bytes(),
          .owner = file};
}

TEST(ReadAhead, BringsWholeTensorsIntoThePageCache) {
  const TemporaryFolder folder;
  struct statfs system {};
  ASSERT_EQ(statfs(folder.path().c_str(), &system), 0);
  if (system.f_type == kTmpfs) GTEST_SKIP() << "the temporary folder lies in memory";
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  write_text(folder / "a", std::string(kBytes, 'x'));
  forget(folder / "a");
  const auto file = std::make_shared<const MappedFile>(folder / "a");
  const std::size_t all = kBytes / static_cast<std::size_t>(getpagesize());
  if (cached_pages(*file) > all / 2) GTEST_SKIP() << "this file system forgets no pages";
  ReadAhead ahead;
  ahead.ask(whole(file));
  for (int wait = 0; wait < 1000 && cached_pages(*file) < all; ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(cached_pages(*file), all);
}

TEST(ReadAhead, EndsWithWorkLeft) {
  const TemporaryFolder folder;
  write_text(folder / "a", std::string(1 << 20, 'x'));
  const auto file = std::make_shared<const MappedFile>(folder / "a");
  for (int times = 0; times < 20; ++times) {
    ReadAhead ahead;
    for (int tensor = 0; tensor < 100; ++tensor)
      ahead.ask(whole(file));
  }
  EXPECT_EQ(file.use_count(), 1);
  const ReadAhead idle;
}

}  // namespace
}  // namespace flux2::test
