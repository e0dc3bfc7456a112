#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace flux2 {

// Checkpoints of one model are written under several families of names. A family is a table of
// rules, and a rule can be read both ways: from what a file holds to what the models declare
// (loading), and back (converting).

/// What the rows or the shape of a stored tensor go through to become the canonical one.
enum class Rearrangement {
  none,
  swap_halves,          ///< the halves of the rows change places
  split_text_rotary,    ///< rows rotate as pairs (2i, 2i + 1) of a head, wanted are (i, i + d/2)
  split_vision_rotary,  ///< the same with the heads of the vision tower
  drop_ones,            ///< [out, in, 1, 1] becomes [out, in]
};

/// One of `count` equal parts of a stored tensor's rows.
struct RowPart {
  int index = 0;
  int count = 1;
};

/// One line of a family. Both names are patterns: "{i}" and "{j}" stand for a whole number,
/// "{3-i}" for 3 - i, and a "*" at the end for whatever follows.
struct NameRule {
  std::string_view canonical;
  std::string_view stored;
  RowPart part = {};
  Rearrangement change = Rearrangement::none;
};

/// What the placeholders of a pattern stood for.
struct NameParts {
  std::optional<std::int64_t> i;
  std::optional<std::int64_t> j;
  std::string_view rest;  ///< views the name that was matched
};

/// Whether `name` is of the form `pattern`, and what its placeholders stand for. Numbers have up to
/// four digits and no leading zero.
std::optional<NameParts> match_name(std::string_view pattern, std::string_view name);

/// The name that `pattern` makes of `parts`, which hold every placeholder in it.
std::string expand_name(std::string_view pattern, const NameParts& parts);

}  // namespace flux2
