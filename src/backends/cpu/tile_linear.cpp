#include "backends/cpu/tile_linear.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "backends/cpu/items.h"
#include "backends/cpu/tile_linear_kernels.h"
#include "backends/cpu/weight_blocks.h"
#include "base/rounding.h"

namespace flux2 {
namespace {

constexpr std::int64_t kColumns = weight_blocks::kOutputs;
// Rows of x that meet a group of panels: with the inputs of one part they fill a fifth of the
// second-level cache, their sums two fifths.
constexpr std::int64_t kChunkRows = 384;
constexpr std::int64_t kMostPanels = 8;
// Steps that are summed up before the next rows come: half a panel of them is 32 KB.
constexpr std::int64_t kPartSteps = 16;
constexpr std::int64_t kTileBytes = kTileLinearRows * kTileLinearBytes;
constexpr std::int64_t kPanelStepBytes = kColumns * kTileLinearBytes;
constexpr std::int64_t kTasksPerThread = 4;

// How a product is cut into tasks, each some rows times some panels.
struct Split {
  std::int64_t panels;  // in all
  std::int64_t chunks;  // of rows
  std::int64_t beside;  // panels of a task

  std::int64_t workers;

  std::int64_t tasks() const { return chunks * ceil_divide(panels, beside); }
  // Scratch of a worker.
  std::int64_t sums() const { return kChunkRows * beside * kColumns; }
  static constexpr std::int64_t tile_bytes() {
    return kChunkRows / kTileLinearRows * kPartSteps * kTileBytes;
  }
};

Split split_for(std::int64_t rows, std::int64_t out) {
  const std::int64_t threads = thread_count();
  Split split{.panels = ceil_divide(out, kColumns),
              .chunks = ceil_divide(rows, kChunkRows),
              .beside = 1,
              .workers = threads};
  const std::int64_t wanted = kTasksPerThread * threads;
  split.beside = std::clamp<std::int64_t>(split.panels * split.chunks / wanted, 1, kMostPanels);
  split.workers = std::min(threads, split.tasks());
  return split;
}

// Of 32 inputs, with which the weights are padded.
std::int64_t steps_of(const MatmulCall& call) {
  return call.weight.streamed->padded_in * 2 / kTileLinearBytes;
}

class Task {
 public:
  /// @param tiles  scratch for kPartSteps of kChunkRows rows
  /// @param sums   scratch for kChunkRows rows of split.beside panels
  Task(const MatmulCall& call, const Split& split, std::int64_t number, std::byte* tiles,
       float* sums)
      : call_(call),
        kernels_(tile_linear_kernels_avx512_amx()),
        first_row_(number % split.chunks * kChunkRows),
        rows_(std::min(kChunkRows, call.rows - first_row_)),
        first_panel_(number / split.chunks * split.beside),
        panels_(std::min(split.beside, split.panels - first_panel_)),
        tiles_(tiles),
        sums_(sums) {}

  void run() const {
    std::fill_n(sums_, panels_ * rows_ * kColumns, 0.0f);
    const std::int64_t steps = steps_of(call_);
    for (std::int64_t step = 0; step < steps; step += kPartSteps) {
      const std::int64_t some = std::min(kPartSteps, steps - step);
      gather(step, some);
      multiply(step, some);
    }
    for (std::int64_t row = 0; row < rows_; ++row) {
      for (std::int64_t panel = 0; panel < panels_; ++panel)
        finish(row, panel);
    }
  }

 private:
  float* sums_of(std::int64_t panel) const { return sums_ + panel * rows_ * kColumns; }

  // Rows of x as tiles: as they come, their distance may be one that the caches bear badly.
  void gather(std::int64_t step, std::int64_t steps) const {
    const std::int64_t stride = call_.src_stride * 2, row_bytes = call_.weight.in * 2;
    const auto* x = static_cast<const std::byte*>(call_.src) + first_row_ * stride;
    for (std::int64_t row = 0; row < rows_; ++row) {
      std::byte* target = tiles_ + row / kTileLinearRows * steps * kTileBytes +
                          row % kTileLinearRows * kTileLinearBytes;
      for (std::int64_t i = 0; i < steps; ++i, target += kTileBytes) {
        const std::int64_t begin = (step + i) * kTileLinearBytes;
        const std::int64_t held = std::min(kTileLinearBytes, row_bytes - begin);
        if (held < kTileLinearBytes) std::memset(target, 0, kTileLinearBytes);
        std::memcpy(target, x + row * stride + begin, static_cast<std::size_t>(held));
      }
    }
  }

  void multiply(std::int64_t step, std::int64_t steps) const {
    const std::int64_t panel_bytes = steps_of(call_) * kPanelStepBytes;
    const auto* weights = static_cast<const std::byte*>(call_.weight.storage->data) +
                          first_panel_ * panel_bytes + step * kPanelStepBytes;
    for (std::int64_t panel = 0; panel < panels_; ++panel) {
      kernels_.multiply({.rows = rows_,
                         .steps = steps,
                         .x = tiles_,
                         .panel = weights + panel * panel_bytes,
                         .sums = sums_of(panel)});
    }
  }

  void finish(std::int64_t row, std::int64_t panel) const {
    const std::int64_t output = (first_panel_ + panel) * kColumns;
    const auto element = static_cast<std::int64_t>(size_of(call_.dst_dtype));
    const Tensor& bias = call_.weight.bias;
    const auto type = call_.dst_dtype == DType::bf16 ? Element::bf16 : Element::f32;
    const auto write =
        call_.epilogue == Epilogue::store ? kernels_.store[static_cast<int>(type)] : kernels_.add;
    write({.sums = sums_of(panel) + row * kColumns,
           .bias = bias.defined() ? bias.f32() + output : nullptr,
           .gate = call_.epilogue == Epilogue::add_gated ? call_.gate + output : nullptr,
           .out = static_cast<std::byte*>(call_.dst) +
                  ((first_row_ + row) * call_.dst_stride + output) * element,
           .count = std::min(kColumns, call_.weight.out - output)});
  }

  const MatmulCall& call_;
  const TileLinearKernels& kernels_;
  std::int64_t first_row_, rows_;
  std::int64_t first_panel_, panels_;
  std::byte* tiles_;  // [rows / 16][steps] tiles
  float* sums_;       // [panels][rows][64]
};

}  // namespace

bool TileLinear::suits(const PackedLinear& weight) const {
  if (isa_ < Isa::avx512_amx || weight.dtype != DType::bf16 || !weight.streamed) return false;
  const StreamedLayout& layout = *weight.streamed;
  return layout.outputs == kColumns && layout.word_elements == 2 &&
         layout.padded_in * 2 % kTileLinearBytes == 0;
}

void TileLinear::operator()(const MatmulCall& call) const {
  assert(suits(call.weight) && (call.epilogue == Epilogue::store || call.dst_dtype == DType::f32));
  const Split split = split_for(call.rows, call.weight.out);
  constexpr std::int64_t kTiles = Split::tile_bytes();
  const std::shared_ptr<Storage> tiles =
      pool_->allocate(static_cast<std::size_t>(split.workers * kTiles));
  const Tensor sums = pool_->tensor({split.workers, split.sums()}, DType::f32);
  for_each_item(split.tasks(), split.workers, [&](std::int64_t number, std::int64_t worker) {
    Task(call, split, number, static_cast<std::byte*>(tiles->data) + worker * kTiles,
         sums.f32() + worker * split.sums())
        .run();
  });
}

std::size_t TileLinear::scratch_bytes(std::int64_t rows, std::int64_t out) {
  const Split split = split_for(rows, out);
  const std::int64_t sums = split.sums() * static_cast<std::int64_t>(sizeof(float));
  return static_cast<std::size_t>(split.workers * (Split::tile_bytes() + sums));
}

}  // namespace flux2
