#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// An empty folder for each test.
class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "flux2_files_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::ptrdiff_t entries() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }

  fs::path folder_;
};

/// The files that this process writes cannot grow beyond a size: a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::internal, ""};
}

TEST_F(Files, AppearOnlyWhenCommitted) {
  const fs::path path = folder_ / "a";
  {
    AtomicFile file(path);
    file.write(bytes_of("one "));
    file.write(bytes_of("two"));
    EXPECT_FALSE(fs::exists(path));
    file.commit();
    EXPECT_EQ(content_of(path), "one two");
  }
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, LeaveNothingWithoutCommit) {
  { AtomicFile(folder_ / "a").write(bytes_of("text")); }
  EXPECT_EQ(entries(), 0);
}

TEST_F(Files, ReplaceWhatWasThere) {
  write_file(folder_ / "a", bytes_of("long before"));
  write_file(folder_ / "a", bytes_of("after"));
  EXPECT_EQ(content_of(folder_ / "a"), "after");
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, KeepTheOldContentWhenTheDiskIsFull) {
  const fs::path path = folder_ / "a";
  write_file(path, bytes_of("before"));
  {
    const FullDisk full(16);
    const Error error = error_of([&] { write_file(path, bytes_of(std::string(100, 'x'))); });
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_EQ(error.where(), path.string());
  }
  EXPECT_EQ(content_of(path), "before");
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, NeedAFolder) {
  const fs::path path = folder_ / "missing" / "a";
  const Error error = error_of([&] { AtomicFile file(path); });
  EXPECT_EQ(error.code(), ErrorCode::bad_file);
  EXPECT_EQ(error.where(), path.string());
  EXPECT_FALSE(error.hint().empty());
}

TEST_F(Files, DoNotReplaceAFolder) {
  fs::create_directory(folder_ / "a");
  EXPECT_EQ(error_of([&] { write_file(folder_ / "a", bytes_of("x")); }).code(),
            ErrorCode::bad_file);
  EXPECT_TRUE(fs::is_directory(folder_ / "a"));
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, AreMapped) {
  const std::string text(10000, 'y');
  write_file(folder_ / "a", bytes_of(text));
  const MappedFile file(folder_ / "a");
  ASSERT_EQ(file.bytes().size(), text.size());
  file.will_need(file.bytes().subspan(1, 5000));
  file.drop(file.bytes());  // pages come back from the disk when touched again
  EXPECT_EQ(std::memcmp(file.bytes().data(), text.data(), text.size()), 0);
}

TEST_F(Files, AreCheckedForHavingBeenCut) {
  write_file(folder_ / "a", bytes_of(std::string(10000, 'y')));
  const MappedFile file(folder_ / "a");
  file.require_complete();
  fs::resize_file(folder_ / "a", 9999);
  const Error cut = error_of([&] { file.require_complete(); });
  EXPECT_EQ(cut.code(), ErrorCode::bad_file);
  EXPECT_EQ(cut.where(), (folder_ / "a").string());
}

TEST_F(Files, StayWhatTheyWereWhenReplaced) {
  write_file(folder_ / "a", bytes_of(std::string(10000, 'y')));
  const MappedFile file(folder_ / "a");
  write_file(folder_ / "a", bytes_of("z"));
  file.require_complete();
  EXPECT_EQ(file.bytes()[9999], std::byte{'y'});
}

TEST_F(Files, MayBeEmpty) {
  write_file(folder_ / "a", {});
  const MappedFile file(folder_ / "a");
  EXPECT_TRUE(file.bytes().empty());
  file.will_need(file.bytes());
  file.drop(file.bytes());
}

TEST_F(Files, CannotBeMappedIfMissingOrAFolder) {
  const Error missing = error_of([&] { MappedFile file(folder_ / "a"); });
  EXPECT_EQ(missing.code(), ErrorCode::bad_file);
  EXPECT_EQ(missing.where(), (folder_ / "a").string());
  EXPECT_EQ(error_of([&] { MappedFile file(folder_); }).code(), ErrorCode::bad_file);
}

TEST(RepeatingMemory, HoldsTheBlockAgainAndAgain) {
  constexpr std::size_t kBlock = std::size_t{2} * 4096;
  std::string block(kBlock, 'a');
  block[1] = 'b';
  block[kBlock - 1] = 'c';
  const std::size_t size = 1000 * kBlock + 4096;
  const auto region = MappedFile::repeating("numbers", bytes_of(block), size);
  EXPECT_EQ(region->path(), "numbers");
  ASSERT_EQ(region->bytes().size(), size);
  const auto* text = reinterpret_cast<const char*>(region->bytes().data());
  for (const std::size_t repeat : {0, 1, 500, 999}) {
    EXPECT_EQ(std::memcmp(text + repeat * kBlock, block.data(), kBlock), 0) << repeat;
  }
  EXPECT_EQ(text[size - 4095], 'b');
  region->will_need(region->bytes());
  region->drop(region->bytes());
  EXPECT_EQ(text[size - 4095], 'b') << "dropped pages come back";
}

}  // namespace
}  // namespace flux2
