// The directions of docs/architecture.md: reads the #includes of src/, apps/ and bindings/ and
// fails on one that goes the other way.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

// What each layer may include, itself and the public headers of include/flux2 left out.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"tensor", {"base"}},
    {"ops", {"base", "tensor"}},
    {"backends", {"base", "tensor", "ops"}},
    {"checkpoint", {"base", "tensor", "ops"}},
    {"adapters", {"base", "tensor", "checkpoint"}},
    {"tokenizers", {"base"}},
    {"diffusion", {"base", "tensor"}},
    {"images", {"base"}},
    {"hub", {"base"}},
    {"models", {"base", "tensor", "ops", "checkpoint", "tokenizers"}},
    {"pipeline",
     {"base", "tensor", "ops", "backends", "checkpoint", "adapters", "tokenizers", "diffusion",
      "images", "hub", "models"}},
};

// Libraries that only these layers know.
const std::map<std::string, std::set<std::string>> kLibraries = {
    {"dnnl", {"backends"}},
    {"oneapi", {"backends"}},
    {"cuda", {"backends"}},
    {"omp.h", {"base"}},
    {"nlohmann", {"checkpoint", "tokenizers", "hub", "pipeline"}},
    {"png.h", {"images"}},
    {"jpeglib.h", {"images"}},
    {"webp", {"images"}},
    {"pcre2.h", {"tokenizers"}},
    {"unicode", {"tokenizers", "images"}},
    {"curl", {"hub"}},
    {"openssl", {"hub"}},
    {"spdlog", {}},
    {"CLI", {}},
};

struct Include {
  std::string path;
  bool quoted = false;
};

std::vector<Include> includes_of(const fs::path& file) {
  static const std::regex kLine(R"(^\s*#\s*include\s*([<"])([^">]+)[">])");
  std::vector<Include> found;
  std::ifstream stream(file);
  std::smatch match;
  for (std::string line; std::getline(stream, line);) {
    if (std::regex_search(line, match, kLine)) found.push_back({match[2], match[1] == "\""});
  }
  return found;
}

std::vector<fs::path> sources_below(const fs::path& folder) {
  static const std::set<std::string> kEndings = {".h", ".cpp", ".inc", ".cu", ".cuh"};
  std::vector<fs::path> sources;
  if (!fs::exists(folder)) return sources;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (kEndings.contains(entry.path().extension().string())) sources.push_back(entry.path());
  }
  std::sort(sources.begin(), sources.end());
  return sources;
}

std::string first_part(const fs::path& path) {
  return path.begin() == path.end() ? "" : path.begin()->string();
}

const fs::path kRoot = FLUX2_SOURCE_DIR;

TEST(IncludeDirections, LayersOnlyLookDown) {
  int includes = 0;
  for (const fs::path& file : sources_below(kRoot / "src")) {
    const std::string layer = first_part(fs::relative(file, kRoot / "src"));
    ASSERT_TRUE(kMayInclude.contains(layer)) << layer << " is not in the table of layers";
    for (const Include& include : includes_of(file)) {
      const std::string target = first_part(include.path);
      if (!include.quoted || target == "flux2" || !kMayInclude.contains(target)) continue;
      ++includes;
      EXPECT_TRUE(target == layer || kMayInclude.at(layer).contains(target))
          << fs::relative(file, kRoot) << " includes " << include.path;
    }
  }
  EXPECT_GT(includes, 100) << "the test reads nothing";
}

TEST(IncludeDirections, BackendsDoNotKnowEachOther) {
  for (const fs::path& file : sources_below(kRoot / "src/backends")) {
    const std::string own = first_part(fs::relative(file, kRoot / "src/backends"));
    for (const Include& include : includes_of(file)) {
      if (!include.path.starts_with("backends/")) continue;
      const std::string other = first_part(fs::path(include.path).lexically_relative("backends"));
      // cuda_absent stands in for cuda and shares its header.
      EXPECT_TRUE(other == own || (own == "cuda_absent" && other == "cuda"))
          << fs::relative(file, kRoot) << " includes " << include.path;
    }
  }
}

TEST(IncludeDirections, LibrariesStayInTheirLayer) {
  for (const fs::path& file : sources_below(kRoot / "src")) {
    const std::string layer = first_part(fs::relative(file, kRoot / "src"));
    for (const Include& include : includes_of(file)) {
      if (include.quoted) continue;
      const auto library = kLibraries.find(first_part(include.path));
      if (library == kLibraries.end()) continue;
      EXPECT_TRUE(library->second.contains(layer))
          << fs::relative(file, kRoot) << " includes " << include.path;
    }
  }
}

TEST(IncludeDirections, AppsSeeOnlyThePublicHeaders) {
  int seen = 0;
  for (const char* folder : {"apps", "bindings"}) {
    for (const fs::path& file : sources_below(kRoot / folder)) {
      for (const Include& include : includes_of(file)) {
        if (!include.quoted) continue;
        ++seen;
        const bool beside = fs::exists(file.parent_path() / include.path);
        EXPECT_TRUE(include.path.starts_with("flux2/") || beside)
            << fs::relative(file, kRoot) << " includes " << include.path;
      }
    }
  }
  EXPECT_GT(seen, 0) << "the test reads nothing";
}

TEST(IncludeDirections, PublicHeadersStandAlone) {
  for (const fs::path& file : sources_below(kRoot / "include")) {
    for (const Include& include : includes_of(file)) {
      EXPECT_TRUE(!include.quoted || include.path.starts_with("flux2/"))
          << fs::relative(file, kRoot) << " includes " << include.path;
    }
  }
}

TEST(IncludeDirections, ConditionalCompilationStaysDown) {
  static const std::regex kConditional(R"(^\s*#\s*(if|ifdef|ifndef)\b)");
  for (const char* folder : {"src", "include", "apps"}) {
    for (const fs::path& file : sources_below(kRoot / folder)) {
      const std::string name = fs::relative(file, kRoot).string();
      if (name.starts_with("src/base/") || name.starts_with("src/backends/")) continue;
      std::ifstream stream(file);
      for (std::string line; std::getline(stream, line);) {
        EXPECT_FALSE(std::regex_search(line, kConditional)) << name << ": " << line;
      }
    }
  }
}

}  // namespace
