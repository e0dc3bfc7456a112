#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "backends/cpu/dnnl_primitives.h"
#include "backends/cpu/memory_pool.h"
#include "backends/cpu/stored_rows.h"
#include "tensor/weight.h"

namespace flux2 {

/// A linear layer in the layout that oneDNN multiplies with.
struct PackedLinear final : PreparedWeight {
  DType dtype = DType::f32;
  std::int64_t in = 0;
  std::int64_t out = 0;
  dnnl::memory::desc desc;
  std::optional<StreamedLayout> streamed;  ///< what `desc` says, if it is one
  std::shared_ptr<Storage> storage;
  Tensor bias;  ///< f32 [out], or undefined
};

struct UpsamplingKernels;

/// A convolution, in every layout that a call so far asked for: which one is best depends on the
/// geometry, which only a call knows. Nearly always the first fits all.
struct PackedConv final : PreparedWeight {
  struct Layout {
    dnnl::memory::desc desc;
    std::shared_ptr<Storage> storage;
  };
  DType dtype = DType::f32;
  Shape shape;  ///< [out, in, kh, kw]
  Tensor bias;
  mutable std::mutex mutex;
  mutable std::vector<Layout> layouts;
  /// Made by the first upsample_conv2d.
  mutable std::shared_ptr<const UpsamplingKernels> upsampling;
};

/// dst [rows, out] (op)= src [rows, in] W^T (+ bias). Rows are contiguous, `src_stride` and
/// `dst_stride` elements apart.
struct MatmulCall {
  const PackedLinear& weight;
  const void* src;
  void* dst;
  std::int64_t rows;
  std::int64_t src_stride;
  std::int64_t dst_stride;
  DType dst_dtype;
  Epilogue epilogue = Epilogue::store;
  const float* gate = nullptr;  ///< [out], for Epilogue::add_gated
};

/// Dense channels-last pictures; src has the weight's element type.
struct ConvCall {
  const PackedConv& weight;
  const Tensor& src;
  const Tensor& dst;
  const ConvGeometry& geometry;
  Epilogue epilogue = Epilogue::store;
};

/// oneDNN: packs weights and runs its primitives, each of which is built once for a combination of
/// shapes, types and threads and kept while it is among the last few hundred.
class DnnlEngine {
 public:
  explicit DnnlEngine(std::shared_ptr<MemoryPool> pool);

  /// Whether there are matmuls over `dtype` at all.
  bool computes_in(DType dtype);

  /// @param rows  [out, in]
  std::shared_ptr<PackedLinear> pack_linear(const StoredRows& rows);
  /// @param kernel  [out, in, kh, kw], dense
  std::shared_ptr<PackedConv> pack_conv(const void* kernel, DType dtype, const Shape& shape);

  /// The kernel [out, in, kh, kw] of a packed convolution.
  std::vector<float> unpack_conv(const PackedConv& weight);

  /// False, with nothing done, where oneDNN has nothing suitable (see DnnlPrimitive) for these
  /// strides or this epilogue: the caller then reaches the same in two steps.
  bool try_matmul(const MatmulCall& call);
  bool try_convolution(const ConvCall& call);
  /// The same with whatever oneDNN has.
  void matmul(const MatmulCall& call);
  void convolution(const ConvCall& call);

 private:
  using Key = std::array<std::int64_t, 16>;
  struct Cached {
    DnnlPrimitive made;
    std::uint64_t last_use = 0;
  };

  template <typename Make>
  DnnlPrimitive& find_or_make(const Key& key, Make make);
  DnnlPrimitive& matmul_for(const MatmulCall& call);
  DnnlPrimitive& convolution_for(const ConvCall& call);
  void run_matmul(DnnlPrimitive& made, const MatmulCall& call);
  void run_convolution(DnnlPrimitive& made, const ConvCall& call);
  void run(DnnlPrimitive& made, std::unordered_map<int, dnnl::memory> arguments);
  /// Writes the rows to packed.storage, in the layout packed.desc.
  void fill(const StoredRows& rows, const PackedLinear& packed);
  void reorder(const PackedConv::Layout& from, const PackedConv::Layout& to);
  dnnl::memory memory_at(const dnnl::memory::desc& desc, const void* data) const;
  PackedConv::Layout layout_for(const PackedConv& weight, const dnnl::memory::desc& wanted);

  std::shared_ptr<MemoryPool> pool_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<Key, Cached> primitives_;
  std::uint64_t uses_ = 0;
};

}  // namespace flux2
