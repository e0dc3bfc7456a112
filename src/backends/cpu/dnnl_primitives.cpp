#include "backends/cpu/dnnl_primitives.h"

#include <mutex>
#include <optional>
#include <string_view>

#include "flux2/error.h"

namespace flux2 {
namespace {

dnnl::primitive_attr attributes_for(Epilogue epilogue, const dnnl::memory::desc& gate) {
  dnnl::primitive_attr attributes;
  // Scratch memory comes from our pool, and f32 means f32 whatever the environment says.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  dnnl::post_ops operations;
  if (epilogue == Epilogue::add_gated) operations.append_binary(dnnl::algorithm::binary_mul, gate);
  if (epilogue != Epilogue::store) operations.append_sum(1.0f);
  attributes.set_post_ops(operations);
  return attributes;
}

// "brg:...", "brgconv:...": its batch-reduce kernels, which add to dst after the whole sum. The
// older "jit:..." and "gemm:..." may start from dst. "ref:..." are the plain loops.
template <typename Description>
bool is_suitable(const Description& description, Epilogue epilogue) {
  const std::string_view name = description.impl_info_str();
  return epilogue == Epilogue::store ? !name.starts_with("ref") : name.starts_with("brg");
}

// A blocked layout, whatever the version: the blocks from the outermost to the innermost, each the
// axis that it divides and its size.
struct BlockedLayout {
  dnnl::memory::dims padded, strides, sizes, axes;
};

std::optional<BlockedLayout> blocked_layout(const dnnl::memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  if (desc.get_format_kind() != dnnl::memory::format_kind::blocked) return {};
  return BlockedLayout{desc.get_padded_dims(), desc.get_strides(), desc.get_inner_blks(),
                       desc.get_inner_idxs()};
#else
  const dnnl_memory_desc_t& data = desc.data;
  if (data.format_kind != dnnl_blocked) return {};
  const dnnl_blocking_desc_t& blocks = data.format_desc.blocking;
  return BlockedLayout{{data.padded_dims, data.padded_dims + data.ndims},
                       {blocks.strides, blocks.strides + data.ndims},
                       {blocks.inner_blks, blocks.inner_blks + blocks.inner_nblks},
                       {blocks.inner_idxs, blocks.inner_idxs + blocks.inner_nblks}};
#endif
}

}  // namespace

std::optional<StreamedLayout> streamed_layout(const dnnl::memory::desc& weights) {
  using Dims = dnnl::memory::dims;
  const std::optional<BlockedLayout> blocked = blocked_layout(weights);
  if (!blocked || blocked->padded.size() != 2) return {};
  const bool words = blocked->axes == Dims{0, 1, 0};
  if (!words && blocked->axes != Dims{0, 1}) return {};
  const StreamedLayout layout = {.outputs = blocked->sizes[1],
                                 .word_elements = words ? blocked->sizes[2] : 1,
                                 .padded_in = blocked->padded[0],
                                 .padded_out = blocked->padded[1]};
  const std::int64_t block = blocked->sizes[0] * layout.word_elements * layout.outputs;
  if (blocked->strides != Dims{block, layout.padded_in * layout.outputs}) return {};
  return layout;
}

dnnl::memory::data_type dnnl_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return dnnl::memory::data_type::f32;
    case DType::bf16:
      return dnnl::memory::data_type::bf16;
    default:
      throw Error(ErrorCode::internal, "no matmul over elements of this type",
                  std::string(name_of(dtype)));
  }
}

DnnlPrimitive make_matmul(const MatmulDescs& descs, const dnnl::engine& engine) {
  const dnnl::primitive_attr attributes = attributes_for(descs.epilogue, descs.gate);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc description(engine, descs.src, descs.weights, descs.bias,
                                                 descs.dst, attributes);
#else
  const dnnl::matmul::primitive_desc description(
      dnnl::matmul::desc(descs.src, descs.weights, descs.bias, descs.dst), attributes, engine);
#endif
  return {.primitive = dnnl::matmul(description),
          .weights = description.weights_desc(),
          .scratchpad = description.scratchpad_desc(),
          .suitable = is_suitable(description, descs.epilogue)};
}

DnnlPrimitive make_convolution(const ConvDescs& descs, const dnnl::engine& engine) {
  const dnnl::primitive_attr attributes = attributes_for(descs.epilogue, {});
  const ConvGeometry& g = descs.geometry;
  const dnnl::memory::dims strides = {g.stride, g.stride};
  const dnnl::memory::dims before = {g.pad_top, g.pad_left};
  const dnnl::memory::dims behind = {g.pad_bottom, g.pad_right};
  constexpr auto kInference = dnnl::prop_kind::forward_inference;
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::convolution_forward::primitive_desc description(
      engine, kInference, kDirect, descs.src, descs.weights, descs.bias, descs.dst, strides, before,
      behind, attributes);
#else
  const dnnl::convolution_forward::primitive_desc description(
      dnnl::convolution_forward::desc(kInference, kDirect, descs.src, descs.weights, descs.bias,
                                      descs.dst, strides, before, behind),
      attributes, engine);
#endif
  return {.primitive = dnnl::convolution_forward(description),
          .weights = description.weights_desc(),
          .scratchpad = description.scratchpad_desc(),
          .suitable = is_suitable(description, descs.epilogue)};
}

namespace {

struct IsaLimit {
  std::mutex mutex;
  std::optional<Isa> most;
};

IsaLimit& isa_limit() {
  static IsaLimit limit;
  return limit;
}

}  // namespace

std::optional<Isa> process_isa_limit() {
  IsaLimit& limit = isa_limit();
  const std::lock_guard lock(limit.mutex);
  return limit.most;
}

void limit_process_isa(Isa most) {
  const dnnl::cpu_isa limit = most == Isa::avx2          ? dnnl::cpu_isa::avx2
                              : most == Isa::avx512      ? dnnl::cpu_isa::avx512_core
                              : most == Isa::avx512_vnni ? dnnl::cpu_isa::avx512_core_vnni
                              : most == Isa::avx512_bf16 ? dnnl::cpu_isa::avx512_core_bf16
                                                         : dnnl::cpu_isa::avx512_core_amx;
  // oneDNN takes a limit once, and refuses the same one again.
  IsaLimit& once = isa_limit();
  const std::lock_guard lock(once.mutex);
  if (once.most == most) return;
  if (once.most || dnnl::set_max_cpu_isa(limit) != dnnl::status::success) {
    throw Error(ErrorCode::invalid_request,
                "the instruction set was limited after oneDNN had chosen its own", "",
                "limit it at the start of the program");
  }
  once.most = most;
}

}  // namespace flux2
