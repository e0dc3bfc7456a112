#include "tokenizers/pre_tokenizer.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "tokenizers/utf8.h"

namespace flux2 {

PreTokenizer::Run::Run(const PreTokenizer& pre_tokenizer) {
  workers_.reserve(pre_tokenizer.stages_.size());
  for (const Stage& stage : pre_tokenizer.stages_) {
    if (const auto* split = std::get_if<SplitStage>(&stage)) {
      workers_.emplace_back(Splitter{*split, Regex::Searcher(split->pattern)});
    } else {
      workers_.emplace_back(PrefixSpaceStage{});
    }
  }
}

void PreTokenizer::Run::Splitter::split(std::string_view text, Pieces& pieces) {
  const auto put = [&](bool keep, std::size_t begin, std::size_t end) {
    if (keep && begin < end) pieces.push_back(text.substr(begin, end - begin));
  };
  std::size_t done = 0;
  for (std::size_t from = 0; from < text.size();) {
    const std::optional<Regex::Match> match = searcher.next(text, from);
    if (!match) break;
    put(stage.keep_gaps, done, match->begin);
    put(stage.keep_matches, match->begin, match->end);
    done = from = match->end;
    // An empty match cuts here; the next one is looked for behind the next character.
    if (match->begin == match->end && from < text.size()) next_code_point(text, from);
  }
  put(stage.keep_gaps, done, text.size());
}

PreTokenizer::Pieces PreTokenizer::Run::pieces(std::string_view text) {
  Pieces pieces;
  if (!text.empty()) pieces.push_back(text);
  for (Worker& worker : workers_) {
    Pieces next;
    for (const std::string_view piece : pieces) {
      if (auto* splitter = std::get_if<Splitter>(&worker)) {
        splitter->split(piece, next);
      } else if (piece.front() == ' ') {
        next.push_back(piece);
      } else {
        next.push_back(prefixed_.emplace_back(" ").append(piece));
      }
    }
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace flux2
