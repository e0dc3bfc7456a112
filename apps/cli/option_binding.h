#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "numbers.h"

namespace flux2::cli {

/// The numbers that an option takes, both ends included.
template <typename T>
struct Range {
  T least;
  T most;
};

/// `text` as a number within `range`.
/// @throws CLI::ValidationError naming `option`
template <typename T>
T number_within(const std::string& option, std::string_view text, Range<T> range) {
  const std::optional<T> value = parse_number<T>(text);
  if (!value) throw CLI::ValidationError(option, fmt::format("\"{}\" is not a number", text));
  if (*value < range.least || *value > range.most) {
    throw CLI::ValidationError(
        option, fmt::format("{} is not within {} to {}", text, range.least, range.most));
  }
  return *value;
}

/// A seed as torch.Generator.manual_seed takes it: 64 bits; negative ones count from 2^64 down.
/// @throws CLI::ValidationError naming `option`
std::uint64_t seed_of(const std::string& option, std::string_view text);

/// Parts of `text` between commas, empty ones too.
std::vector<std::string_view> split_at_commas(std::string_view text);

/// An option that takes one number. `target` is a T or an optional of it.
template <typename T, typename Target>
CLI::Option* add_number(CLI::App& app, const std::string& name, Target& target, Range<T> range,
                        const std::string& description) {
  const auto assign = [name, &target, range](const CLI::results_t& texts) {
    target = number_within<T>(name, texts.front(), range);
    return true;
  };
  return app.add_option(name, assign, description)->type_name("N");
}

/// An option that takes one list of numbers with commas between them.
template <typename T>
CLI::Option* add_number_list(CLI::App& app, const std::string& name, std::vector<T>& target,
                             Range<T> range, const std::string& description) {
  const auto assign = [name, &target, range](const CLI::results_t& texts) {
    for (const std::string_view part : split_at_commas(texts.front())) {
      target.push_back(number_within<T>(name, part, range));
    }
    return true;
  };
  return app.add_option(name, assign, description)->type_name("N,N,...");
}

/// An option that takes one of some words. `target` is an E or an optional of it.
template <typename E, typename Target>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Target& target,
                        std::vector<std::pair<std::string, E>> choices,
                        const std::string& description) {
  std::string words;
  for (const auto& [word, value] : choices)
    words += (words.empty() ? "" : "|") + word;
  const auto assign = [name, &target, choices, words](const CLI::results_t& texts) {
    for (const auto& [word, value] : choices) {
      if (word == texts.front()) {
        target = value;
        return true;
      }
    }
    throw CLI::ValidationError(name, fmt::format("\"{}\" is none of {}", texts.front(), words));
  };
  return app.add_option(name, assign, description)->type_name(words);
}

/// An option that takes one text, taken as it is. `target` is a string or an optional of it.
template <typename Target>
CLI::Option* add_text(CLI::App& app, const std::string& name, Target& target,
                      const std::string& type, const std::string& description) {
  const auto assign = [&target](const CLI::results_t& texts) {
    target = texts.front();
    return true;
  };
  return app.add_option(name, assign, description)->type_name(type);
}

/// An option that takes one text each time it is given.
CLI::Option* add_texts(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                       const std::string& type, const std::string& description);

}  // namespace flux2::cli
