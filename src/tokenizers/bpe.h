#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizers/vocabulary.h"

namespace flux2 {

/// Two neighbours that may become one token. A merge's place in the file's list is its rank: the
/// lowest rank in a piece is merged first.
struct Merge {
  std::int32_t left;
  std::int32_t right;
  std::int32_t merged;
};

/// How a piece that is a token as a whole is treated.
enum class WholePiece {
  merge,    ///< like any other
  look_up,  ///< it is that token, whatever the merges say (the files' ignore_merges)
};

/// Byte-level byte-pair encoding of one piece of text. Immutable; shared by threads.
class Bpe {
 public:
  struct Options {
    WholePiece whole_piece = WholePiece::merge;
    std::optional<std::int32_t> unknown = {};  ///< stands for bytes without a token of their own
    bool fuse_unknown = false;                 ///< neighbouring unknown bytes are one token
  };

  Bpe() = default;
  /// @param merges  in the order of their ranks; where a pair appears twice the last one counts
  Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, Options options);

  /// The working memory of one encode() call.
  class Run {
   public:
    /// Both must outlive this object.
    Run(const Bpe& bpe, const Vocabulary& vocabulary) : bpe_(bpe), vocabulary_(vocabulary) {}

    /// Appends the ids of `piece` to `ids`, always the same vector. O(n log n) in the length.
    /// @param piece  not empty, shorter than 2^31 bytes; must outlive this object
    /// @throws Error invalid_request: a byte has no token, and there is none for unknown bytes
    void encode(std::string_view piece, std::vector<std::int32_t>& ids);

   private:
    struct Symbol {
      std::int32_t id;
      std::int32_t previous;
      std::int32_t next;
      bool alive;
    };
    struct Candidate {
      std::int32_t rank;
      std::int32_t position;
      std::int32_t merged;

      /// Orders a heap: the lowest rank on top, then the leftmost.
      bool operator<(const Candidate& other) const {
        return rank != other.rank ? rank > other.rank : position > other.position;
      }
    };
    /// Where in the output an earlier occurrence of the same piece lies.
    struct Seen {
      std::size_t begin;
      std::size_t count;
    };

    void encode_anew(std::string_view piece, std::vector<std::int32_t>& ids);
    void start(std::string_view piece);
    void merge_all();
    void propose(std::int32_t left);

    const Bpe& bpe_;
    const Vocabulary& vocabulary_;
    std::vector<Symbol> symbols_;
    std::vector<Candidate> candidates_;
    std::unordered_map<std::string_view, Seen> seen_;
  };

 private:
  /// Open addressing: a pair of ids to its merge. Half empty, probed one after the other.
  struct Slot {
    std::uint64_t pair;
    std::int32_t rank;
    std::int32_t merged;
  };

  const Slot* find(std::int32_t left, std::int32_t right) const;
  Slot& slot_of(std::uint64_t pair);

  Options options_;
  std::array<std::int32_t, 256> byte_ids_{};  ///< -1: no token
  std::vector<Slot> slots_;                   ///< a power of two of them, or none
};

}  // namespace flux2
