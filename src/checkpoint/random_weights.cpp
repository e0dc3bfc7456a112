#include "checkpoint/random_weights.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/mapped_file.h"
#include "tensor/dtype.h"

namespace flux2 {
namespace {

// A prime number of pages: rows of a matrix, whose length has small factors, repeat late.
constexpr std::size_t kPage = 4096;
constexpr std::size_t kBlockBytes = 509 * kPage;
// Tensors begin at one of so many pages, so that q, k and v are not the same matrix.
constexpr std::size_t kStarts = 61;
constexpr float kNormSpread = 0.05f;

// Where the numbers of a tensor lie: uniform with this mean and standard deviation.
struct Distribution {
  float mean;
  float deviation;

  auto operator<=>(const Distribution&) const = default;
};

Distribution distribution_of(WeightKind kind, const Source& source) {
  switch (kind) {
    case WeightKind::linear:
    case WeightKind::conv2d: {
      const auto inputs = static_cast<float>(source.shape.elements() / source.shape[0]);
      return {0.0f, 1.0f / std::sqrt(inputs)};
    }
    case WeightKind::embedding:
      return {0.0f, 1.0f};
    case WeightKind::vector:
    case WeightKind::unused:
      break;
  }
  // Norm weights and running variances lie around one, biases and running means around zero.
  const bool around_zero = source.name.ends_with("bias") || source.name.ends_with("mean");
  return {around_zero ? 0.0f : 1.0f, kNormSpread};
}

std::vector<BFloat16> block_of(const Distribution& distribution) {
  std::vector<BFloat16> values(kBlockBytes / sizeof(BFloat16));
  const float half_width = std::sqrt(3.0f) * distribution.deviation;
  std::uint32_t state = 1;
  for (BFloat16& value : values) {
    state = state * 1664525u + 1013904223u;
    const float uniform = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
    value = BFloat16(distribution.mean + half_width * uniform);
  }
  return values;
}

// A tensor that some model wants, and where its numbers come from.
struct Wanted {
  Source source;
  Distribution distribution;

  std::size_t bytes() const { return bytes_for(source.shape, DType::bf16); }
};

std::vector<Wanted> wanted_by(const WeightsTable& table) {
  std::vector<Wanted> all;
  for (const WeightsTable::Entry& entry : table.entries()) {
    if (entry.kind == WeightKind::unused) continue;
    for (const Source& source : entry.sources)
      all.push_back({source, distribution_of(entry.kind, source)});
    for (const Source& bias : entry.bias)
      all.push_back({bias, distribution_of(WeightKind::vector, bias)});
  }
  return all;
}

using Region = std::shared_ptr<const MappedFile>;

// One region for each distribution, as long as the longest tensor in it.
std::map<Distribution, Region> regions_for(const std::vector<Wanted>& all,
                                           const std::string& name) {
  std::map<Distribution, std::size_t> sizes;
  for (const Wanted& wanted : all) {
    std::size_t& size = sizes[wanted.distribution];
    size = std::max(size, wanted.bytes());
  }
  std::map<Distribution, Region> regions;
  for (const auto& [distribution, size] : sizes) {
    const std::vector<BFloat16> block = block_of(distribution);
    regions[distribution] =
        MappedFile::repeating(name, std::as_bytes(std::span(block)), size + kStarts * kPage);
  }
  return regions;
}

}  // namespace

Checkpoint random_checkpoint(const WeightsTable& table, const std::string& name) {
  const std::vector<Wanted> all = wanted_by(table);
  const std::map<Distribution, Region> regions = regions_for(all, name);
  std::map<std::string, StoredTensor> tensors;
  for (const Wanted& wanted : all) {
    const Region& region = regions.at(wanted.distribution);
    const std::size_t start = tensors.size() % kStarts * kPage;
    StoredTensor tensor = {.name = wanted.source.name,
                           .file = name,
                           .dtype = DType::bf16,
                           .shape = wanted.source.shape,
                           .bytes = region->bytes().subspan(start, wanted.bytes()),
                           .owner = region};
    tensors.try_emplace(wanted.source.name, std::move(tensor));
  }
  return {name, std::move(tensors)};
}

}  // namespace flux2
