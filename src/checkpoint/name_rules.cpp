#include "checkpoint/name_rules.h"

#include <algorithm>
#include <cassert>
#include <charconv>

namespace flux2 {
namespace {

constexpr std::size_t kMostDigits = 4;

// "{i}", "{j}" or "{3-i}" at the front of a pattern.
struct Placeholder {
  char variable = 'i';
  std::optional<std::int64_t> minuend;
  std::size_t length = 0;  // in the pattern

  std::int64_t flip(std::int64_t number) const { return minuend ? *minuend - number : number; }
};

Placeholder placeholder_at(std::string_view pattern) {
  const std::size_t end = pattern.find('}');
  assert(end == 2 || end == 4);
  Placeholder result{.variable = pattern[end - 1], .minuend = {}, .length = end + 1};
  if (end == 4) result.minuend = pattern[1] - '0';
  return result;
}

std::optional<std::int64_t> take_number(std::string_view& name) {
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits > kMostDigits || (digits > 1 && name[0] == '0')) return std::nullopt;
  std::int64_t number = 0;
  std::from_chars(name.data(), name.data() + digits, number);
  name.remove_prefix(digits);
  return number;
}

}  // namespace

std::optional<NameParts> match_name(std::string_view pattern, std::string_view name) {
  NameParts parts;
  while (!pattern.empty()) {
    if (pattern == "*") {
      parts.rest = name;
      return parts;
    }
    if (pattern.front() != '{') {
      if (name.empty() || name.front() != pattern.front()) return std::nullopt;
      pattern.remove_prefix(1);
      name.remove_prefix(1);
      continue;
    }
    const Placeholder place = placeholder_at(pattern);
    const std::optional<std::int64_t> number = take_number(name);
    if (!number || place.flip(*number) < 0) return std::nullopt;
    (place.variable == 'i' ? parts.i : parts.j) = place.flip(*number);
    pattern.remove_prefix(place.length);
  }
  return name.empty() ? std::optional(parts) : std::nullopt;
}

std::string expand_name(std::string_view pattern, const NameParts& parts) {
  std::string name;
  while (!pattern.empty()) {
    if (pattern == "*") return name.append(parts.rest);
    if (pattern.front() != '{') {
      name.push_back(pattern.front());
      pattern.remove_prefix(1);
      continue;
    }
    const Placeholder place = placeholder_at(pattern);
    name += std::to_string(place.flip(place.variable == 'i' ? parts.i.value() : parts.j.value()));
    pattern.remove_prefix(place.length);
  }
  return name;
}

}  // namespace flux2
