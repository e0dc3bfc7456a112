#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace flux2 {

/// One entry of a safetensors header, as written: nothing is checked against the file yet.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;  ///< begin and end, from the end of the header
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// More entries than this are refused; the largest FLUX.2 part has about a thousand.
inline constexpr std::size_t kMaxSafetensorsEntries = 100'000;

/// Reads the JSON of a header,
///   {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
///    "__metadata__": {"key": "text"}}
/// in one pass and without building a tree: memory stays in proportion to what is accepted.
/// @param file  for errors
/// @throws Error bad_file, naming the file and the entry: not JSON, of another form, an entry or a
///         key twice, too many entries
SafetensorsHeader parse_safetensors_header(std::string_view json, const std::string& file);

}  // namespace flux2
