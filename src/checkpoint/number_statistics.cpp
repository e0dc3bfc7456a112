#include "checkpoint/number_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "base/rounding.h"
#include "checkpoint/rounding_model.h"

namespace flux2 {
namespace {

// Numbers that a thread looks at together, and so many of these between two reports. Sums of a
// piece are added up in order: the same result for any number of threads.
constexpr std::int64_t kPiece = 1 << 16;
constexpr std::int64_t kPiecesAtOnce = 64;

// The rows of a tensor in pieces of about kPiece numbers.
class Pieces {
 public:
  explicit Pieces(const StoredTensor& tensor)
      : width_(row_elements(tensor)),
        rows_(tensor.shape.rank() == 0 ? 1 : tensor.shape[0]),
        rows_in_piece_(std::max<std::int64_t>(1, kPiece / std::max<std::int64_t>(1, width_))) {
    const std::int64_t together = rows_together(tensor);
    rows_in_piece_ = round_up(rows_in_piece_, together);
  }

  std::int64_t count() const { return width_ == 0 ? 0 : ceil_divide(rows_, rows_in_piece_); }
  std::int64_t begin(std::int64_t piece) const { return piece * rows_in_piece_; }
  std::int64_t rows(std::int64_t piece) const {
    return std::min(rows_in_piece_, rows_ - begin(piece));
  }
  std::int64_t width() const { return width_; }
  /// That piece of a tensor of this shape.
  std::vector<float> read(const StoredTensor& tensor, std::int64_t piece) const {
    std::vector<float> numbers(static_cast<std::size_t>(rows(piece) * width_));
    read_rows(tensor, begin(piece), rows(piece), numbers.data());
    return numbers;
  }

 private:
  std::int64_t width_;
  std::int64_t rows_;
  std::int64_t rows_in_piece_;
};

// Adds up what sums_of(piece) gives for every piece.
template <typename Sums, typename SumsOf>
Sums over_pieces(const Pieces& pieces, std::int64_t bytes, const PieceRead& read, SumsOf sums_of) {
  Sums total;
  std::vector<Sums> parts(kPiecesAtOnce);
  for (std::int64_t first = 0; first < pieces.count(); first += kPiecesAtOnce) {
    const std::int64_t now = std::min(kPiecesAtOnce, pieces.count() - first);
    parallel_for(now, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        parts[static_cast<std::size_t>(i)] = sums_of(first + i);
    });
    for (std::int64_t i = 0; i < now; ++i)
      total.add(parts[static_cast<std::size_t>(i)]);
    if (read) {
      const auto share = [&](std::int64_t piece) { return bytes * piece / pieces.count(); };
      read(share(first + now) - share(first));
    }
  }
  return total;
}

struct StatisticsSums {
  NumberStatistics numbers = {.least = std::numeric_limits<double>::infinity(),
                              .most = -std::numeric_limits<double>::infinity()};
  double magnitudes = 0;

  void add(float number) {
    ++numbers.count;
    if (std::isnan(number)) {
      ++numbers.nan;
    } else if (std::isinf(number)) {
      ++numbers.infinite;
    } else {
      numbers.least = std::min(numbers.least, static_cast<double>(number));
      numbers.most = std::max(numbers.most, static_cast<double>(number));
      magnitudes += std::abs(static_cast<double>(number));
    }
  }
  void add(const StatisticsSums& other) {
    numbers.count += other.numbers.count;
    numbers.nan += other.numbers.nan;
    numbers.infinite += other.numbers.infinite;
    numbers.least = std::min(numbers.least, other.numbers.least);
    numbers.most = std::max(numbers.most, other.numbers.most);
    magnitudes += other.magnitudes;
  }
};

struct DifferenceSums {
  double squares = 0;         // of the numbers
  double parent_squares = 0;  // of the parent's
  double products = 0;
  double distances = 0;  // squares of differences
  double rounding = 0;   // squares of what rounding does to the parent

  void add(float number, float parent) {
    const double a = number, b = parent;
    squares += a * a;
    parent_squares += b * b;
    products += a * b;
    distances += (a - b) * (a - b);
  }
  void add(const DifferenceSums& other) {
    squares += other.squares;
    parent_squares += other.parent_squares;
    products += other.products;
    distances += other.distances;
    rounding += other.rounding;
  }
};

}  // namespace

NumberStatistics measure_numbers(const StoredTensor& tensor, const PieceRead& read) {
  const Pieces pieces(tensor);
  const auto bytes = static_cast<std::int64_t>(tensor.bytes.size());
  auto sums = over_pieces<StatisticsSums>(pieces, bytes, read, [&](std::int64_t piece) {
    StatisticsSums part;
    for (const float number : pieces.read(tensor, piece))
      part.add(number);
    return part;
  });
  NumberStatistics& result = sums.numbers;
  const std::int64_t finite = result.count - result.nan - result.infinite;
  if (finite == 0) result.least = result.most = 0;
  if (finite > 0) result.mean_magnitude = sums.magnitudes / static_cast<double>(finite);
  return result;
}

NumberDifference compare_numbers(const StoredTensor& numbers, const StoredTensor& parent,
                                 const PieceRead& read) {
  const Pieces pieces(numbers);
  const RoundingModel own(numbers);
  const RoundingModel parents(parent);
  const auto bytes = static_cast<std::int64_t>(numbers.bytes.size());
  const auto sums = over_pieces<DifferenceSums>(pieces, bytes, read, [&](std::int64_t piece) {
    const std::vector<float> a = pieces.read(numbers, piece);
    const std::vector<float> b = pieces.read(parent, piece);
    DifferenceSums part;
    for (std::size_t i = 0; i < a.size(); ++i)
      part.add(a[i], b[i]);
    part.rounding = own.squared_error(b, pieces.width()) + parents.squared_error(b, pieces.width());
    return part;
  });
  NumberDifference result;
  if (sums.parent_squares == 0) {
    result.relative_error = sums.squares == 0 ? 0 : std::numeric_limits<double>::infinity();
    return result;
  }
  result.relative_error = std::sqrt(sums.distances / sums.parent_squares);
  result.rounding = std::sqrt(sums.rounding / sums.parent_squares);
  result.gain = sums.products / sums.parent_squares;
  const double lengths = std::sqrt(sums.squares) * std::sqrt(sums.parent_squares);
  result.cosine = lengths == 0 ? 0 : sums.products / lengths;
  return result;
}

double allowed_error(const NumberDifference& difference) {
  constexpr double kAllowance = 2;
  return kAllowance * difference.rounding;
}

double allowed_gain(const NumberDifference& difference, std::int64_t count) {
  constexpr double kDeviations = 4;
  const double error = allowed_error(difference);
  return error * error +
         kDeviations * error / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, count)));
}

}  // namespace flux2
