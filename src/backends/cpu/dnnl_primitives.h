#pragma once

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>

#include "backends/cpu/cpu_ops.h"
#include "tensor/dtype.h"

// The one place that builds oneDNN primitives. Its interface changed between versions 2 (Debian 12)
// and 3 (Debian 13, Ubuntu 24.04): a primitive is described in two steps or in one. Everything else
// that this backend uses of oneDNN is the same in both.
namespace flux2 {

/// A primitive and the layouts it works on.
struct DnnlPrimitive {
  dnnl::primitive primitive;
  dnnl::memory::desc weights;
  dnnl::memory::desc scratchpad;
  /// False for oneDNN's plain loops, hundreds of times slower than what it generates code for, and
  /// for an epilogue whose sum starts from what is in dst: every partial sum would then be rounded
  /// at the size of the residual.
  bool suitable = false;
};

/// What happens to the product before it is stored.
enum class Epilogue {
  store,      ///< dst = product + bias
  add,        ///< dst += product + bias
  add_gated,  ///< dst += gate * (product + bias), gate [1, N]
};

/// dst [M, N] = src [M, K] weights [K, N]
struct MatmulDescs {
  dnnl::memory::desc src;
  dnnl::memory::desc weights;  ///< of format any: the primitive chooses
  dnnl::memory::desc bias;     ///< zero: none
  dnnl::memory::desc dst;
  dnnl::memory::desc gate;  ///< [1, N] f32, for Epilogue::add_gated
  Epilogue epilogue = Epilogue::store;
};

/// Channels-last pictures against weights [out, in, kh, kw].
struct ConvDescs {
  dnnl::memory::desc src;
  dnnl::memory::desc weights;
  dnnl::memory::desc bias;
  dnnl::memory::desc dst;
  ConvGeometry geometry;
  Epilogue epilogue = Epilogue::store;
};

/// Weights [in, out] in blocks of `outputs` columns that lie one after another, each as
/// [padded_in / word_elements][outputs][word_elements].
struct StreamedLayout {
  std::int64_t outputs = 0;
  std::int64_t word_elements = 0;  ///< neighbouring inputs that lie together
  std::int64_t padded_in = 0;
  std::int64_t padded_out = 0;
};

/// `weights` as such a layout; nothing: it is another one.
std::optional<StreamedLayout> streamed_layout(const dnnl::memory::desc& weights);

dnnl::memory::data_type dnnl_type(DType dtype);

/// @throws dnnl::error where oneDNN has no implementation
DnnlPrimitive make_matmul(const MatmulDescs& descs, const dnnl::engine& engine);
/// @throws dnnl::error where oneDNN has no implementation
DnnlPrimitive make_convolution(const ConvDescs& descs, const dnnl::engine& engine);

}  // namespace flux2
