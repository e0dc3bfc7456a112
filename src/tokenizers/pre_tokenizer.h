#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tokenizers/regex.h"

namespace flux2 {

/// Cuts a text at the matches of a pattern. Hugging Face's Split: behaviour Isolated keeps the
/// matches and what lies between them, Removed only the latter; `invert` swaps the two roles.
struct SplitStage {
  Regex pattern;
  bool keep_matches = true;
  bool keep_gaps = true;
};

/// Puts a space before each piece that does not begin with one (ByteLevel's add_prefix_space).
struct PrefixSpaceStage {};

/// Cuts text between added tokens into the pieces that BPE merges within.
class PreTokenizer {
 public:
  using Stage = std::variant<SplitStage, PrefixSpaceStage>;
  using Pieces = std::vector<std::string_view>;

  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<Stage> stages) : stages_(std::move(stages)) {}

  /// The working memory of one encode() call: it owns what its pieces point to, beside the text.
  class Run {
   public:
    explicit Run(const PreTokenizer& pre_tokenizer);

    /// @param text  well-formed UTF-8 that outlives the pieces
    /// @returns none of them empty
    Pieces pieces(std::string_view text);

   private:
    struct Splitter {
      const SplitStage& stage;
      Regex::Searcher searcher;

      void split(std::string_view text, Pieces& pieces);
    };
    using Worker = std::variant<Splitter, PrefixSpaceStage>;

    std::vector<Worker> workers_;
    std::deque<std::string> prefixed_;
  };

 private:
  std::vector<Stage> stages_;
};

}  // namespace flux2
