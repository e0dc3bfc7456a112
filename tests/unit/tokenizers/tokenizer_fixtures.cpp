#include "tokenizer_fixtures.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "tokenizers/byte_level.h"

namespace flux2::testing {

std::filesystem::path goldens() {
  return std::filesystem::path(FLUX2_SOURCE_DIR) / "tests" / "goldens" / "data";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string read_gzip(const std::filesystem::path& path) {
  const std::string command = "gzip -dc '" + path.string() + "'";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  std::string content;
  std::array<char, 1 << 16> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    content.append(buffer.data(), count);
  }
  if (::pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  return content;
}

Json read_json(const std::filesystem::path& path) {
  return Json::parse(read_file(path));
}

namespace {

std::filesystem::path vocabularies() {
  return std::filesystem::path(FLUX2_SOURCE_DIR) / "tests" / "data" / "tokenizers";
}

}  // namespace

const std::string& qwen3_json() {
  static const std::string json = read_gzip(vocabularies() / "qwen3" / "tokenizer.json.gz");
  return json;
}

const std::string& tekken_json() {
  static const std::string json = read_gzip(vocabularies() / "tekken" / "tekken_240911.json.gz");
  return json;
}

const Tokenizer& qwen3() {
  static const Tokenizer tokenizer = Tokenizer::from_json(qwen3_json(), "qwen3");
  return tokenizer;
}

const Tokenizer& tekken() {
  static const Tokenizer tokenizer = Tokenizer::from_json(tekken_json(), "tekken");
  return tokenizer;
}

Json byte_tokenizer() {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[spell_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  vocabulary["ab"] = 256;
  vocabulary["abc"] = 257;
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", "\\s+"}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return {{"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}}},
          {"post_processor", nullptr},
          {"added_tokens", Json::array()},
          {"model",
           {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array({"a b", "ab c"})}}}};
}

Tokenizer from_json(const Json& file) {
  return Tokenizer::from_json(file.dump(), "test.json");
}

}  // namespace flux2::testing
