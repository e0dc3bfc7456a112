#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor/weight.h"

namespace flux2 {

// Tensors that are made of the rows of others, whatever those are stored as: nothing is copied,
// rows are decoded where they lie. A row is what lies behind the first dimension.

/// Rows [begin, begin + count) of `parent`, as a tensor called `name`.
StoredTensor row_range(const StoredTensor& parent, std::int64_t begin, std::int64_t count,
                       std::string name);

/// In what order the rows of another tensor are taken.
struct RowOrder {
  enum class Kind {
    swapped_halves,   ///< the second half of the rows, then the first
    pairs_to_halves,  ///< rows 2i and 2i + 1 of every head become rows i and head/2 + i
    halves_to_pairs,  ///< the way back
  };
  Kind kind = Kind::swapped_halves;
  std::int64_t head_dim = 0;  ///< rows of a head, even; not used by swapped_halves
};

/// All rows of `parent` in another order, as a tensor called `name`.
StoredTensor reordered_rows(const StoredTensor& parent, const RowOrder& order, std::string name);

/// The rows of several tensors of equal width, one after another, as a tensor called `name`.
StoredTensor joined_rows(std::vector<StoredTensor> parts, std::string name);

}  // namespace flux2
