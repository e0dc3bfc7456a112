#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace flux2 {

/// A Unicode regular expression of a tokenizer file, compiled once and shared by threads.
///
/// The files write Oniguruma's syntax and this is PCRE2. The patterns of Qwen and tekken mean the
/// same in both, but for `\s`, which is spelled out here as Unicode's White_Space (PCRE2's own also
/// takes U+180E). Constructs with another meaning in Oniguruma (nested or intersected character
/// classes) are refused.
class Regex {
 public:
  struct Match {
    std::size_t begin;
    std::size_t end;
  };

  /// @param where  the file, for messages
  /// @throws Error bad_file: it does not compile
  Regex(std::string_view pattern, std::string where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// The working memory of one search; not shared by threads.
  class Searcher {
   public:
    explicit Searcher(const Regex& regex);
    ~Searcher();
    Searcher(Searcher&&) noexcept;
    Searcher& operator=(Searcher&&) = delete;

    /// The leftmost match that begins at or after byte `from`; it may be empty.
    /// @param text  well-formed UTF-8
    /// @throws Error bad_file: the pattern needs too many steps on this text
    std::optional<Match> next(std::string_view text, std::size_t from);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace flux2
