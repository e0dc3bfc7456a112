// The examples of docs/guide.md, run with nano in one folder: the C++ ones (a program made from the
// page by extract_examples.cmake) first, as one of the shell's reads what they write.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "flux2/flux2.h"
#include "program.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

struct Block {
  int line = 0;  // of its first line in the page
  std::string text;
};

std::vector<Block> runnable_blocks(const fs::path& page, const std::string& language) {
  std::vector<Block> blocks;
  std::istringstream lines(read_file(page));
  bool inside = false;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line == "```" + language + " runnable") {
      blocks.push_back({.line = number + 1, .text = {}});
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back().text += line + "\n";
    }
  }
  return blocks;
}

bool is_uniform(const Image& image) {
  return std::all_of(image.pixels.begin(), image.pixels.end(),
                     [&image](std::uint8_t value) { return value == image.pixels.front(); });
}

// Every picture that the examples left: it can be read and shows something.
int check_pictures(const TemporaryFolder& folder) {
  int pictures = 0;
  for (const std::string& name : folder.names()) {
    const std::string ending = fs::path(name).extension().string();
    if (ending != ".png" && ending != ".webp") continue;
    ++pictures;
    EXPECT_FALSE(is_uniform(load_image(folder / name))) << name;
  }
  return pictures;
}

TEST(Guide, ExamplesRun) {
  const TemporaryFolder folder;
  const std::string enter =
      "PATH=\"$(dirname \"$0\"):$PATH\"; cd '" + folder.path().string() + "' && set -eu\n";
  // A program that is not installed beside the models has to be told where they are.
  const Finished program = run_shell(enter + "FLUX2_MODELS='" FLUX2_SOURCE_DIR "/models' '" +
                                     FLUX2_GUIDE_EXAMPLES + "'");
  ASSERT_EQ(program.status, 0) << program.err << program.out;

  const std::vector<Block> blocks =
      runnable_blocks(fs::path(FLUX2_SOURCE_DIR) / "docs/guide.md", "sh");
  ASSERT_GE(blocks.size(), 10U) << "the test reads nothing";
  for (const Block& block : blocks) {
    const Finished shell = run_shell(enter + block.text);
    EXPECT_EQ(shell.status, 0) << "docs/guide.md:" << block.line << ":\n"
                               << block.text << shell.err;
  }
  EXPECT_GE(check_pictures(folder), 20);
}

}  // namespace
}  // namespace flux2
