#include "checkpoint/tensor_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "base/rounding.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/finite.h"
#include "checkpoint/in_quotes.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

// Numbers and bytes that are in memory at a time.
constexpr std::int64_t kNumbersAtOnce = std::int64_t{1} << 22;
constexpr std::size_t kBytesAtOnce = std::size_t{16} << 20;
// Halves, of which scales are made too, end there.
constexpr float kLargestHalf = 65504;

bool keeps_its_bytes(const TensorCopy& copy) {
  if (copy.source.decoder != nullptr) return false;
  return copy.encoder == nullptr ||
         (copy.encoder->is_plain() && copy.encoder->plain == copy.source.dtype);
}

void copy_bytes(const TensorCopy& copy, WeightsWriter& writer,
                const std::function<void()>& report) {
  if (holds_numbers(copy.source)) require_finite(copy.source);
  for (std::span<const std::byte> rest = copy.source.bytes; !rest.empty();) {
    const std::size_t size = std::min(kBytesAtOnce, rest.size());
    writer.write(rest.first(size));
    rest = rest.subspan(size);
    report();
  }
}

float limit_of(const NumberEncoder& encoder) {
  const bool halves = !encoder.is_plain() || encoder.plain == DType::f16;
  return halves ? kLargestHalf : std::numeric_limits<float>::max();
}

void require_within(std::span<const float> numbers, const TensorCopy& copy) {
  const float limit = limit_of(*copy.encoder);
  const auto bad = std::find_if(numbers.begin(), numbers.end(), [&](float number) {
    return !(std::abs(number) <= limit);  // NaN too
  });
  if (bad == numbers.end()) return;
  throw Error(ErrorCode::bad_file,
              fmt::format("tensor {} holds {}, which {} cannot store", in_quotes(copy.source.name),
                          *bad, copy.encoder->name),
              copy.source.file,
              std::isfinite(*bad) ? "choose a type with a wider range: bf16"
                                  : "the file is damaged: get it again");
}

// Rows in pieces that are whole blocks.
void encode(const TensorCopy& copy, WeightsWriter& writer, const std::function<void()>& report) {
  const StoredTensor& source = copy.source;
  const NumberEncoder& encoder = *copy.encoder;
  const std::int64_t width = row_elements(source);
  const std::int64_t rows = source.shape.rank() == 0 ? 1 : source.shape[0];
  if (width == 0) return;
  assert(encoder.is_plain() || width % encoder.elements == 0);
  const std::int64_t together = rows_together(source);
  const std::int64_t at_once =
      round_up(std::max<std::int64_t>(1, kNumbersAtOnce / width), together);
  std::vector<float> numbers;
  std::vector<std::byte> bytes;
  for (std::int64_t begin = 0; begin < rows; begin += at_once) {
    const std::int64_t count = std::min(at_once, rows - begin);
    numbers.resize(static_cast<std::size_t>(count * width));
    parallel_for(count, together, [&](std::int64_t first, std::int64_t last) {
      read_rows(source, begin + first, last - first, numbers.data() + first * width);
    });
    require_within(numbers, copy);
    bytes.resize(static_cast<std::size_t>(encoded_bytes(encoder, count * width)));
    parallel_for(count, 1, [&](std::int64_t first, std::int64_t last) {
      encoder.encode(numbers.data() + first * width, (last - first) * width / encoder.elements,
                     bytes.data() + encoded_bytes(encoder, first * width));
    });
    writer.write(bytes);
    report();
  }
}

}  // namespace

const NumberEncoder* exact_encoder(const StoredTensor& tensor) {
  const std::string_view encoding = encoding_of(tensor);
  if (encoding == "F8_E4M3" || encoding == "F8_E5M2") return find_encoder("BF16");
  const NumberEncoder* same = find_encoder(encoding);
  return same != nullptr && same->is_plain() ? same : nullptr;
}

std::int64_t copied_bytes(const TensorCopy& copy) {
  if (copy.encoder == nullptr) return static_cast<std::int64_t>(copy.source.bytes.size());
  return encoded_bytes(*copy.encoder, copy.source.shape.elements());
}

void write_copy(const TensorCopy& copy, WeightsWriter& writer,
                const std::function<void()>& report) {
  assert(copy.encoder != nullptr || copy.source.decoder == nullptr);
  require_complete(copy.source);
  if (keeps_its_bytes(copy)) {
    copy_bytes(copy, writer, report);
  } else {
    encode(copy, writer, report);
  }
  drop_pages(copy.source);
}

}  // namespace flux2
