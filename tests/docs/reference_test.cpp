// docs/reference.md names all that include/flux2 declares at namespace level, and nothing more.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace {

namespace fs = std::filesystem;

using Names = std::set<std::string>;

// Declarations at namespace level start in the first column: the style of this project.
void add_names(const fs::path& header, Names& names) {
  static const std::regex kType(R"(^(?:struct|class|enum class|using) (\w+)\b.*[{=])");
  static const std::regex kFunction(R"(^[A-Za-z_][\w:<>*& ]* \*?(\w+)\()");
  std::ifstream stream(header);
  std::smatch match;
  for (std::string line; std::getline(stream, line);) {
    if (std::regex_search(line, match, kType) || std::regex_search(line, match, kFunction)) {
      names.insert(match[1]);
    }
  }
}

// The first cell of the rows of its tables: | `name` | ...
Names names_of_reference(const fs::path& page) {
  static const std::regex kRow(R"(^\| `(\w+)` \|)");
  Names names;
  std::ifstream stream(page);
  std::smatch match;
  for (std::string line; std::getline(stream, line);) {
    if (std::regex_search(line, match, kRow)) names.insert(match[1]);
  }
  return names;
}

TEST(Reference, NamesWhatTheHeadersDeclare) {
  const fs::path root = FLUX2_SOURCE_DIR;
  Names declared;
  for (const auto& entry : fs::directory_iterator(root / "include/flux2"))
    add_names(entry.path(), declared);
  EXPECT_GT(declared.size(), 30U) << "the test reads nothing";
  EXPECT_EQ(names_of_reference(root / "docs/reference.md"), declared);
}

}  // namespace
