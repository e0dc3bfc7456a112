#include "option_binding.h"

namespace flux2::cli {

std::uint64_t seed_of(const std::string& option, std::string_view text) {
  if (const auto seed = parse_number<std::uint64_t>(text)) return *seed;
  if (const auto seed = parse_number<std::int64_t>(text)) return static_cast<std::uint64_t>(*seed);
  throw CLI::ValidationError(option, fmt::format("\"{}\" is not a whole number of 64 bits", text));
}

std::vector<std::string_view> split_at_commas(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

CLI::Option* add_texts(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                       const std::string& type, const std::string& description) {
  const auto assign = [&target](const CLI::results_t& texts) {
    target = texts;
    return true;
  };
  return app.add_option(name, assign, description)
      ->type_name(type)
      ->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false);
}

}  // namespace flux2::cli
