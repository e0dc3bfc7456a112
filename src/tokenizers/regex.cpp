#include "tokenizers/regex.h"

#include <cstdint>
#include <new>
#include <utility>

#include "flux2/error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

namespace flux2 {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

using CodePointer = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using MatchDataPointer = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using MatchContextPointer = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using JitStackPointer = std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>>;

constexpr std::size_t kMaxPatternBytes = 16 * 1024;
// A step limit turns a pattern that backtracks without end into an error. A megabyte of one
// character, the longest that an ordinary pattern sees, needs a few steps a byte.
constexpr std::uint32_t kMaxSteps = 50'000'000;
constexpr std::uint32_t kMaxHeapKib = 64 * 1024;
constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackMax = 4 * 1024 * 1024;

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0) return fmt::format("{}", code);
  return reinterpret_cast<const char*>(buffer);
}

/// `\s` and `\S` become White_Space; refuses what Oniguruma reads in another way.
std::string to_pcre(std::string_view pattern, const std::string& where) {
  std::string result;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view two = pattern.substr(i, 2);
    if (two[0] == '\\' && two.size() == 2) {
      result += two == "\\s" ? "\\p{White_Space}" : two == "\\S" ? "\\P{White_Space}" : two;
      ++i;
      continue;
    }
    if (in_class && ((two[0] == '[' && two != "[:") || two == "&&")) {
      throw Error(ErrorCode::bad_file,
                  fmt::format("the pattern nests or intersects character classes at byte {}", i),
                  where, "only plain character classes are supported");
    }
    if (two[0] == '[') in_class = true;
    if (two[0] == ']') in_class = false;
    result += two[0];
  }
  return result;
}

}  // namespace

struct Regex::Code {
  CodePointer compiled;
  std::string where;
};

Regex::Regex(std::string_view pattern, std::string where) : code_(std::make_unique<Code>()) {
  if (pattern.size() > kMaxPatternBytes) {
    throw Error(ErrorCode::bad_file,
                fmt::format("a pattern of {} bytes is too long (at most {})", pattern.size(),
                            kMaxPatternBytes),
                where);
  }
  const std::string translated = to_pcre(pattern, where);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->compiled.reset(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (!code_->compiled) {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("the pattern does not compile: {} (near byte {})", error_text(error), offset),
        where);
  }
  // Where the platform has no just-in-time compiler, pcre2_match interprets: slower, the same.
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);
  code_->where = std::move(where);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

struct Regex::Searcher::State {
  const Code* code;
  MatchDataPointer data;
  MatchContextPointer context;
  JitStackPointer stack;
};

Regex::Searcher::Searcher(const Regex& regex) : state_(std::make_unique<State>()) {
  state_->code = regex.code_.get();
  state_->data.reset(pcre2_match_data_create(1, nullptr));
  state_->context.reset(pcre2_match_context_create(nullptr));
  if (!state_->data || !state_->context) throw std::bad_alloc();
  pcre2_set_match_limit(state_->context.get(), kMaxSteps);
  pcre2_set_heap_limit(state_->context.get(), kMaxHeapKib);
  // Without a stack of its own (no memory, no compiler) matching uses a small one that is built in.
  state_->stack.reset(pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr));
  pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
}

Regex::Searcher::~Searcher() = default;
Regex::Searcher::Searcher(Searcher&&) noexcept = default;

std::optional<Regex::Match> Regex::Searcher::next(std::string_view text, std::size_t from) {
  const int result =
      pcre2_match(state_->code->compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                  text.size(), from, PCRE2_NO_UTF_CHECK, state_->data.get(), state_->context.get());
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("the pattern gave up at byte {} of the text: {}", from, error_text(result)),
        state_->code->where);
  }
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(state_->data.get());
  // \K in a lookaround can put the beginning behind the end, or before `from`.
  if (bounds[0] < from || bounds[1] < bounds[0]) {
    throw Error(ErrorCode::bad_file, "the pattern moves the beginning of its match",
                state_->code->where);
  }
  return Match{bounds[0], bounds[1]};
}

}  // namespace flux2
