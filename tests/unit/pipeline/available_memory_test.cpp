// What may still be taken: free memory and control groups of both versions, nested, with the
// system's files made up.
#include "pipeline/available_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace flux2 {
namespace {

namespace fs = std::filesystem;

class AvailableMemoryFiles : public testing::Test {
 protected:
  void SetUp() override {
    root_ =
        fs::path(testing::TempDir()) /
        ("memory-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    write("proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 1000 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  // A group of version 2.
  void group(const std::string& name, const std::string& most, const std::string& used,
             const std::string& stat) const {
    write("cgroup/" + name + "/memory.max", most);
    write("cgroup/" + name + "/memory.current", used);
    write("cgroup/" + name + "/memory.stat", stat);
  }
  AvailableMemory find() const {
    return find_available_memory({.proc = root_ / "proc", .cgroup = root_ / "cgroup"});
  }

  fs::path root_;
};

TEST_F(AvailableMemoryFiles, OfTheMachine) {
  EXPECT_EQ(find().bytes, 1000 * 1024);
  EXPECT_EQ(find().from, "free memory");
}

TEST_F(AvailableMemoryFiles, OfTheTightestGroupAround) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  group("outer", "500000", "200000", "anon 100000\ninactive_file 20000\nactive_file 30000\n");
  group("outer/inner", "max", "100000", "inactive_file 0\n");
  EXPECT_EQ(find().bytes, 500000 - 200000 + 50000);
  EXPECT_EQ(find().from, "control group /outer");
  group("outer/inner", "150000", "100000", "inactive_file 1000\n");
  EXPECT_EQ(find().bytes, 150000 - 100000 + 1000);
  EXPECT_EQ(find().from, "control group /outer/inner");
}

TEST_F(AvailableMemoryFiles, OfTheRootThatAContainerSees) {
  write("proc/self/cgroup", "0::/\n");
  group("", "300000", "100000", "");
  EXPECT_EQ(find().bytes, 200000);
  EXPECT_EQ(find().from, "control group /");
}

TEST_F(AvailableMemoryFiles, OfTheFirstVersion) {
  write("proc/self/cgroup", "5:cpu,memory:/job\n2:devices:/other\n0::/\n");
  write("cgroup/memory/job/memory.limit_in_bytes", "400000");
  write("cgroup/memory/job/memory.usage_in_bytes", "390000");
  write("cgroup/memory/job/memory.stat", "total_inactive_file 5000\ntotal_active_file 6000\n");
  // Without a limit of its own the outer group says a number that no machine has.
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  write("cgroup/memory/memory.usage_in_bytes", "0");
  EXPECT_EQ(find().bytes, 400000 - 390000 + 11000);
  EXPECT_EQ(find().from, "control group /job");
}

TEST_F(AvailableMemoryFiles, NothingIsLeftOfAGroupThatIsFull) {
  write("proc/self/cgroup", "0::/full\n");
  group("full", "100000", "130000", "inactive_file 0\n");
  EXPECT_EQ(find().bytes, 0);
}

}  // namespace
}  // namespace flux2
