#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace flux2::testing {

using Ids = std::vector<std::int32_t>;
using Json = nlohmann::json;

std::filesystem::path goldens();
std::string read_file(const std::filesystem::path& path);
std::string read_gzip(const std::filesystem::path& path);
Json read_json(const std::filesystem::path& path);

/// The real vocabularies, read once.
const std::string& qwen3_json();
const std::string& tekken_json();
const Tokenizer& qwen3();
const Tokenizer& tekken();

/// A byte-level tokenizer of the 256 bytes (ids 0 to 255 by value) with the merges "ab" (256) and
/// "abc" (257), no normaliser, one Split at white space, and no added token: a base to edit.
Json byte_tokenizer();

Tokenizer from_json(const Json& file);
}  // namespace flux2::testing
