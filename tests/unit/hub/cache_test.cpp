// The layout of the cache, its locks, and files on their way into it.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "flux2/error.h"
#include "hub/cache.h"
#include "hub/file_lock.h"
#include "hub/partial_file.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

const std::string kCommit(40, 'c');

class Cache : public testing::Test {
 protected:
  void put_blob(const std::string& etag, const std::string& text) {
    cache_.make_folders(kCommit, "vae/config.json");
    write_text(cache_.blob(etag), text);
  }

  TemporaryFolder folder_;
  RepoCache cache_{folder_.path(), "org/name"};
};

TEST_F(Cache, HasTheLayoutOfHuggingfaceHub) {
  put_blob("e7a6", "{}");
  cache_.link(kCommit, "vae/config.json", "e7a6");
  cache_.write_ref("refs/pr/1", kCommit);
  const fs::path repo = folder_.path() / "models--org--name";
  EXPECT_EQ(fs::read_symlink(repo / "snapshots" / kCommit / "vae/config.json"),
            "../../../blobs/e7a6");
  EXPECT_EQ(read_file(repo / "refs/refs/pr/1"), kCommit);
  EXPECT_EQ(cache_.lock("e7a6"), folder_.path() / ".locks/models--org--name/e7a6.lock");
  EXPECT_TRUE(read_file(folder_.path() / "CACHEDIR.TAG")
                  .starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
  EXPECT_EQ(cache_.commit_of("refs/pr/1"), kCommit);
  EXPECT_EQ(cache_.commit_of(kCommit), kCommit);
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  EXPECT_EQ(cache_.files_of(kCommit), std::vector<std::string>{"vae/config.json"});
  EXPECT_EQ(repo_of_snapshot(cache_.snapshot(kCommit)), "org/name");
  EXPECT_EQ(repo_of_snapshot(repo), std::nullopt);
  EXPECT_EQ(cached_repos(folder_.path()), std::vector<std::string>{"org/name"});
  EXPECT_EQ(cached_revisions(folder_.path(), "org/name").front().revision, "refs/pr/1");
}

TEST_F(Cache, ADanglingLinkIsNoFileAndIsReplaced) {
  cache_.make_folders(kCommit, "a.json");
  fs::create_symlink("../../blobs/gone", cache_.snapshot(kCommit) / "a.json");
  EXPECT_FALSE(cache_.has(kCommit, "a.json"));
  EXPECT_TRUE(cache_.files_of(kCommit).empty());
  put_blob("here", "1");
  cache_.link(kCommit, "a.json", "here");
  EXPECT_TRUE(cache_.has(kCommit, "a.json"));
}

TEST_F(Cache, DoesNotBelieveARefThatIsNoCommit) {
  for (const char* text : {"", "main", "../../../../etc", "ABC"}) {
    fs::create_directories(cache_.folder() / "refs");
    write_text(cache_.folder() / "refs/main", text);
    EXPECT_EQ(cache_.commit_of("main"), std::nullopt) << text;
  }
}

TEST_F(Cache, ReadsTheListingThatHuggingfaceHubLeaves) {
  const fs::path trees = cache_.folder() / "trees";
  fs::create_directories(trees);
  const fs::path file = trees / (kCommit + ".json");
  EXPECT_EQ(cache_.listed_files_of(kCommit), std::nullopt);
  write_text(file, R"({"format_version": 1, "files": {"b": {"size": 1}, "a": {"size": 1}}})");
  EXPECT_EQ(cache_.listed_files_of(kCommit), (std::vector<std::string>{"a", "b"}));
  for (const char* other :
       {"{", "[]", R"({"format_version": 2, "files": {}})", "{\"files\": {}}"}) {
    write_text(file, other);
    EXPECT_EQ(cache_.listed_files_of(kCommit), std::nullopt) << other;
  }
}

TEST(FileLock, IsExclusiveAndCanBeWaitedFor) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.lock";
  auto first = std::make_unique<FileLock>(path, std::stop_token());
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(FileLock(path, stop.get_token()), Error);
  std::atomic<bool> held = false;
  std::thread second([&] {
    const FileLock lock(path, {});
    held = true;
  });
  EXPECT_FALSE(held);
  first.reset();
  second.join();
  EXPECT_TRUE(held);
  EXPECT_TRUE(fs::exists(path));
}

class Partial : public testing::Test {
 protected:
  std::size_t pieces_done(std::int64_t size, std::int64_t piece) const {
    PartialFile file(blob_, size, piece);
    return static_cast<std::size_t>(
        std::count(file.pieces().begin(), file.pieces().end(), PartialFile::Piece::done));
  }
  void write_pieces(std::initializer_list<std::size_t> pieces) const {
    PartialFile file(blob_, 25, 10);
    for (const std::size_t piece : pieces) {
      const std::vector<std::byte> bytes(
          static_cast<std::size_t>(file.end_of(piece) - file.begin_of(piece)), std::byte{1});
      file.write(file.begin_of(piece), bytes);
      file.finish(piece);
    }
  }

  TemporaryFolder folder_;
  fs::path blob_ = folder_.path() / "blob";
  fs::path journal_ = folder_.path() / "blob.flux2.pieces";
};

TEST_F(Partial, GoesOnWhereItWas) {
  write_pieces({2, 0});
  EXPECT_EQ(pieces_done(25, 10), 2U);
  write_pieces({1});
  PartialFile file(blob_, 25, 10);
  EXPECT_TRUE(file.is_complete());
  EXPECT_EQ(file.bytes_done(), 25);
  EXPECT_FALSE(fs::exists(blob_));
  file.commit();
  EXPECT_EQ(read_file(blob_), std::string(25, '\1'));
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"blob"});
}

TEST_F(Partial, StartsOverWhereTheJournalDoesNotFit) {
  write_pieces({0, 1});
  EXPECT_EQ(pieces_done(26, 10), 0U);  // another length
  write_pieces({0, 1});
  EXPECT_EQ(pieces_done(25, 5), 0U);  // another division
  for (const char* journal : {"", "25 10", "25 10\nx\n", "25 10\n7\n", "25 10\n-1\n",
                              "25 10\n99999999999999999999\n", "25 10\n2\n"}) {
    write_pieces({0});
    write_text(journal_, journal);
    EXPECT_EQ(pieces_done(25, 10), 0U) << journal;
  }
  // The last line was not finished: it does not count, the ones before do.
  write_pieces({0, 1});
  write_text(journal_, "25 10\n0\n1");
  EXPECT_EQ(pieces_done(25, 10), 1U);
}

TEST_F(Partial, AnEmptyFileIsCompleteAtOnce) {
  PartialFile file(blob_, 0, 10);
  EXPECT_TRUE(file.is_complete());
  file.commit();
  EXPECT_EQ(read_file(blob_), "");
}

}  // namespace
}  // namespace flux2
