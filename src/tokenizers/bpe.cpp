#include "tokenizers/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "flux2/error.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/utf8.h"

namespace flux2 {
namespace {

constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // no pair: ids are not negative
constexpr std::int32_t kNone = -1;

// Ordinary text repeats its words. What is remembered of it is bounded in both directions.
constexpr std::size_t kMaxSeenPieces = 1 << 16;
constexpr std::size_t kMaxSeenBytes = 64;

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
         static_cast<std::uint32_t>(right);
}

/// The finaliser of splitmix64: every bit of the result depends on every bit of the pair.
std::size_t hash(std::uint64_t pair) {
  pair = (pair ^ (pair >> 30)) * 0xBF58476D1CE4E5B9ULL;
  pair = (pair ^ (pair >> 27)) * 0x94D049BB133111EBULL;
  return static_cast<std::size_t>(pair ^ (pair >> 31));
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, Options options)
    : options_(options) {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char character = static_cast<char>(byte);
    byte_ids_[byte] = vocabulary.find(spell_bytes({&character, 1})).value_or(kNone);
  }
  slots_.assign(std::bit_ceil(2 * merges.size() + 1), Slot{kEmpty, 0, 0});
  std::int32_t rank = 0;
  for (const Merge& merge : merges) {
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    slot_of(pair) = {pair, rank++, merge.merged};
  }
}

Bpe::Slot& Bpe::slot_of(std::uint64_t pair) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t index = hash(pair) & mask;
  while (slots_[index].pair != kEmpty && slots_[index].pair != pair)
    index = (index + 1) & mask;
  return slots_[index];
}

const Bpe::Slot* Bpe::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t index = hash(pair) & mask;
  while (slots_[index].pair != pair) {
    if (slots_[index].pair == kEmpty) return nullptr;
    index = (index + 1) & mask;
  }
  return &slots_[index];
}

void Bpe::Run::encode(std::string_view piece, std::vector<std::int32_t>& ids) {
  const bool remember = piece.size() <= kMaxSeenBytes;
  if (remember) {
    if (const auto seen = seen_.find(piece); seen != seen_.end()) {
      const auto [begin, count] = seen->second;
      for (std::size_t i = begin; i < begin + count; ++i) {
        const std::int32_t id = ids[i];
        ids.push_back(id);
      }
      return;
    }
  }
  const std::size_t begin = ids.size();
  encode_anew(piece, ids);
  if (remember && seen_.size() < kMaxSeenPieces) seen_[piece] = {begin, ids.size() - begin};
}

void Bpe::Run::encode_anew(std::string_view piece, std::vector<std::int32_t>& ids) {
  if (bpe_.options_.whole_piece == WholePiece::look_up) {
    if (const auto id = vocabulary_.find(spell_bytes(piece))) {
      ids.push_back(*id);
      return;
    }
  }
  start(piece);
  merge_all();
  for (const Symbol& symbol : symbols_) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
}

void Bpe::Run::start(std::string_view piece) {
  symbols_.clear();
  const std::optional<std::int32_t> unknown = bpe_.options_.unknown;
  bool after_unknown = false;
  for (const char character : piece) {
    const auto byte = static_cast<unsigned char>(character);
    std::int32_t id = bpe_.byte_ids_[byte];
    const bool is_unknown = id == kNone;
    if (is_unknown && !unknown) {
      throw Error(ErrorCode::invalid_request,
                  fmt::format("the tokenizer has no token for byte 0x{:02X} of '{}'", byte,
                              replace_invalid_utf8(piece.substr(0, kMaxSeenBytes))),
                  {}, "use characters that the model was made for");
    }
    if (is_unknown) id = *unknown;
    const bool fused = is_unknown && after_unknown && bpe_.options_.fuse_unknown;
    after_unknown = is_unknown;
    if (fused) continue;
    const auto index = static_cast<std::int32_t>(symbols_.size());
    symbols_.push_back({id, index - 1, index + 1, true});
  }
  symbols_.back().next = kNone;
}

void Bpe::Run::propose(std::int32_t left) {
  const Symbol& symbol = symbols_[static_cast<std::size_t>(left)];
  if (symbol.next == kNone) return;
  const Slot* slot = bpe_.find(symbol.id, symbols_[static_cast<std::size_t>(symbol.next)].id);
  if (slot == nullptr) return;
  candidates_.push_back({slot->rank, left, slot->merged});
  std::push_heap(candidates_.begin(), candidates_.end());
}

void Bpe::Run::merge_all() {
  candidates_.clear();
  const auto count = static_cast<std::int32_t>(symbols_.size());
  for (std::int32_t i = 0; i + 1 < count; ++i)
    propose(i);
  while (!candidates_.empty()) {
    const Candidate best = candidates_.front();
    std::pop_heap(candidates_.begin(), candidates_.end());
    candidates_.pop_back();

    Symbol& left = symbols_[static_cast<std::size_t>(best.position)];
    if (!left.alive || left.next == kNone) continue;
    Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
    // The neighbours may have changed since. As in Hugging Face, what counts is the result.
    const Slot* slot = bpe_.find(left.id, right.id);
    if (slot == nullptr || slot->merged != best.merged) continue;

    left.id = best.merged;
    left.next = right.next;
    right.alive = false;
    if (left.next != kNone) symbols_[static_cast<std::size_t>(left.next)].previous = best.position;
    if (left.previous != kNone) propose(left.previous);
    propose(best.position);
  }
}

}  // namespace flux2
