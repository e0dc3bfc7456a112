#include "backends/cpu/dnnl_engine.h"

#include <algorithm>
#include <utility>

#include "backends/cpu/weight_blocks.h"
#include "base/parallel.h"
#include "flux2/error.h"

namespace flux2 {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

constexpr std::size_t kMostPrimitives = 256;
// Weights are laid out for a batch of this many rows; oneDNN's choice hangs on the columns.
constexpr std::int64_t kTypicalRows = 512;
constexpr std::int64_t kTypicalPicture = 64;

enum class Kind : std::int64_t { matmul, convolution };

std::int64_t code(auto value) {
  return static_cast<std::int64_t>(value);
}

Desc rows_desc(std::int64_t rows, std::int64_t width, DType dtype, std::int64_t stride) {
  // The stride of a single row means nothing, and some of oneDNN insists on the usual one.
  return {{rows, width}, dnnl_type(dtype), dnnl::memory::dims{rows == 1 ? width : stride, 1}};
}

Desc bias_desc(const Tensor& bias, const dnnl::memory::dims& dims) {
  if (!bias.defined()) return {};
  return {dims, dnnl::memory::data_type::f32, dims.size() == 1 ? Tag::a : Tag::ab};
}

Desc picture_desc(const Tensor& x) {
  return {{x.dim(0), x.dim(3), x.dim(1), x.dim(2)}, dnnl_type(x.dtype()), Tag::nhwc};
}

Desc kernel_desc(const Shape& shape, DType dtype, Tag tag) {
  return {{shape[0], shape[1], shape[2], shape[3]}, dnnl_type(dtype), tag};
}

MatmulDescs matmul_descs(const MatmulCall& call) {
  const PackedLinear& weight = call.weight;
  return {.src = rows_desc(call.rows, weight.in, weight.dtype, call.src_stride),
          .weights = weight.desc,
          .bias = bias_desc(weight.bias, {1, weight.out}),
          .dst = rows_desc(call.rows, weight.out, call.dst_dtype, call.dst_stride),
          .gate = Desc({1, weight.out}, dnnl::memory::data_type::f32, Tag::ab),
          .epilogue = call.epilogue};
}

[[noreturn]] void fail(const dnnl::error& error) {
  if (error.status == dnnl_out_of_memory) {
    throw Error(ErrorCode::out_of_memory, "no memory for a matmul or convolution", "oneDNN",
                "use a smaller size or a machine with more memory");
  }
  throw Error(ErrorCode::internal, error.what(), "oneDNN");
}

}  // namespace

DnnlEngine::DnnlEngine(std::shared_ptr<MemoryPool> pool)
    : pool_(std::move(pool)), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

dnnl::memory DnnlEngine::memory_at(const Desc& desc, const void* data) const {
  return {desc, engine_, const_cast<void*>(data)};  // oneDNN has no memory that is only read
}

bool DnnlEngine::computes_in(DType dtype) {
  try {
    make_matmul({.src = rows_desc(64, 64, dtype, 64),
                 .weights = Desc({64, 64}, dnnl_type(dtype), Tag::any),
                 .bias = {},
                 .dst = rows_desc(64, 64, DType::f32, 64),
                 .gate = {}},
                engine_);
  } catch (const dnnl::error&) {
    return false;
  }
  return true;
}

// --- Packing -------------------------------------------------------------------------------------

void DnnlEngine::reorder(const PackedConv::Layout& from, const PackedConv::Layout& to) {
  dnnl::memory source = memory_at(from.desc, from.storage->data);
  dnnl::memory target = memory_at(to.desc, to.storage->data);
  dnnl::reorder(source, target).execute(stream_, source, target);
  stream_.wait();
}

std::shared_ptr<PackedLinear> DnnlEngine::pack_linear(const StoredRows& rows) {
  auto packed = std::make_shared<PackedLinear>();
  packed->dtype = rows.dtype();
  packed->out = rows.count();
  packed->in = rows.width();
  try {
    const DnnlPrimitive chosen =
        make_matmul({.src = rows_desc(kTypicalRows, packed->in, packed->dtype, packed->in),
                     .weights = Desc({packed->in, packed->out}, dnnl_type(packed->dtype), Tag::any),
                     .bias = {},
                     .dst = rows_desc(kTypicalRows, packed->out, DType::f32, packed->out),
                     .gate = {}},
                    engine_);
    packed->desc = chosen.weights;
    packed->streamed = streamed_layout(chosen.weights);
    packed->storage = pool_->allocate(packed->desc.get_size());
    fill(rows, *packed);
  } catch (const dnnl::error& error) {
    fail(error);
  }
  return packed;
}

void DnnlEngine::fill(const StoredRows& rows, const PackedLinear& packed) {
  const dnnl::memory::dims dims = {packed.in, packed.out};
  const Tag blocks = packed.dtype == DType::bf16 ? Tag::BA16a64b2a : Tag::BA16a64b;
  if (packed.desc == Desc(dims, dnnl_type(packed.dtype), blocks))
    return weight_blocks::pack(rows, *pool_, static_cast<std::byte*>(packed.storage->data));
  const Tensor gathered = rows.gather(*pool_, {packed.out, packed.in});
  dnnl::memory source = memory_at(Desc(dims, dnnl_type(packed.dtype), Tag::ba), gathered.bytes());
  dnnl::memory target = memory_at(packed.desc, packed.storage->data);
  dnnl::reorder(source, target).execute(stream_, source, target);
  stream_.wait();
}

std::shared_ptr<PackedConv> DnnlEngine::pack_conv(const void* kernel, DType dtype,
                                                  const Shape& shape) {
  auto packed = std::make_shared<PackedConv>();
  packed->dtype = dtype;
  packed->shape = shape;
  const std::int64_t side = std::max({kTypicalPicture, shape[2], shape[3]});
  const dnnl::memory::dims out = {1, shape[0], side - shape[2] + 1, side - shape[3] + 1};
  try {
    const DnnlPrimitive chosen = make_convolution(
        {.src = Desc({1, shape[1], side, side}, dnnl_type(dtype), Tag::nhwc),
         .weights = kernel_desc(shape, dtype, Tag::any),
         .bias = {},
         .dst = Desc(out, dnnl_type(dtype), Tag::nhwc),
         .geometry = {.stride = 1, .pad_top = 0, .pad_left = 0, .pad_bottom = 0, .pad_right = 0}},
        engine_);
    packed->layouts.push_back({chosen.weights, pool_->allocate(chosen.weights.get_size())});
    dnnl::memory source = memory_at(kernel_desc(shape, dtype, Tag::oihw), kernel);
    dnnl::memory target = memory_at(chosen.weights, packed->layouts[0].storage->data);
    dnnl::reorder(source, target).execute(stream_, source, target);
    stream_.wait();
  } catch (const dnnl::error& error) {
    fail(error);
  }
  return packed;
}

std::vector<float> DnnlEngine::unpack_conv(const PackedConv& weight) {
  std::vector<float> kernel(static_cast<std::size_t>(weight.shape.elements()));
  const PackedConv::Layout& packed = weight.layouts[0];
  try {
    dnnl::memory source = memory_at(packed.desc, packed.storage->data);
    dnnl::memory target =
        memory_at(kernel_desc(weight.shape, DType::f32, Tag::oihw), kernel.data());
    dnnl::reorder(source, target).execute(stream_, source, target);
    stream_.wait();
  } catch (const dnnl::error& error) {
    fail(error);
  }
  return kernel;
}

// --- Primitives ----------------------------------------------------------------------------------

template <typename Make>
DnnlPrimitive& DnnlEngine::find_or_make(const Key& key, Make make) {
  auto found = primitives_.find(key);
  if (found == primitives_.end()) {
    if (primitives_.size() >= kMostPrimitives) {
      primitives_.erase(std::min_element(
          primitives_.begin(), primitives_.end(),
          [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; }));
    }
    found = primitives_.emplace(key, Cached{.made = make()}).first;
  }
  found->second.last_use = ++uses_;
  return found->second.made;
}

// A primitive splits its work for the number of threads at its making, so that is in the key.
DnnlPrimitive& DnnlEngine::matmul_for(const MatmulCall& call) {
  const PackedLinear& weight = call.weight;
  const Key key = {code(Kind::matmul),
                   code(weight.dtype),
                   code(call.dst_dtype),
                   call.rows,
                   weight.in,
                   weight.out,
                   call.src_stride,
                   call.dst_stride,
                   code(call.epilogue),
                   weight.bias.defined(),
                   thread_count()};
  return find_or_make(key, [&] { return make_matmul(matmul_descs(call), engine_); });
}

DnnlPrimitive& DnnlEngine::convolution_for(const ConvCall& call) {
  const Shape& kernel = call.weight.shape;
  const ConvGeometry& g = call.geometry;
  // Paddings are small: four of them share a number.
  const std::int64_t pads =
      ((g.pad_top * 1024 + g.pad_left) * 1024 + g.pad_bottom) * 1024 + g.pad_right;
  const Key key = {code(Kind::convolution),
                   code(call.weight.dtype),
                   code(call.dst.dtype()),
                   call.src.dim(0),
                   call.src.dim(1),
                   call.src.dim(2),
                   kernel[0],
                   kernel[1],
                   kernel[2],
                   kernel[3],
                   g.stride,
                   pads,
                   code(call.epilogue),
                   call.weight.bias.defined(),
                   thread_count()};
  return find_or_make(key, [&] {
    return make_convolution({.src = picture_desc(call.src),
                             .weights = kernel_desc(kernel, call.weight.dtype, Tag::any),
                             .bias = bias_desc(call.weight.bias, {kernel[0]}),
                             .dst = picture_desc(call.dst),
                             .geometry = g,
                             .epilogue = call.epilogue},
                            engine_);
  });
}

void DnnlEngine::run(DnnlPrimitive& made, std::unordered_map<int, dnnl::memory> arguments) {
  const auto scratchpad = pool_->allocate(made.scratchpad.get_size());
  arguments.emplace(DNNL_ARG_SCRATCHPAD, memory_at(made.scratchpad, scratchpad->data));
  made.primitive.execute(stream_, arguments);
  stream_.wait();
}

void DnnlEngine::run_matmul(DnnlPrimitive& made, const MatmulCall& call) {
  const MatmulDescs descs = matmul_descs(call);
  std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, memory_at(descs.src, call.src)},
      {DNNL_ARG_WEIGHTS, memory_at(made.weights, call.weight.storage->data)},
      {DNNL_ARG_DST, memory_at(descs.dst, call.dst)}};
  const Tensor& bias = call.weight.bias;
  if (bias.defined()) arguments.emplace(DNNL_ARG_BIAS, memory_at(descs.bias, bias.bytes()));
  if (call.epilogue == Epilogue::add_gated) {
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1,
                      memory_at(descs.gate, call.gate));
  }
  run(made, std::move(arguments));
}

bool DnnlEngine::try_matmul(const MatmulCall& call) {
  try {
    DnnlPrimitive& made = matmul_for(call);
    if (!made.suitable) return false;
    run_matmul(made, call);
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return false;
    fail(error);
  }
  return true;
}

void DnnlEngine::matmul(const MatmulCall& call) {
  try {
    run_matmul(matmul_for(call), call);
  } catch (const dnnl::error& error) {
    fail(error);
  }
}

PackedConv::Layout DnnlEngine::layout_for(const PackedConv& weight, const Desc& wanted) {
  const std::lock_guard lock(weight.mutex);
  for (const PackedConv::Layout& layout : weight.layouts) {
    if (layout.desc == wanted) return layout;
  }
  PackedConv::Layout layout = {wanted, pool_->allocate(wanted.get_size())};
  reorder(weight.layouts[0], layout);
  weight.layouts.push_back(layout);
  return layout;
}

void DnnlEngine::run_convolution(DnnlPrimitive& made, const ConvCall& call) {
  const PackedConv::Layout layout = layout_for(call.weight, made.weights);
  std::unordered_map<int, dnnl::memory> arguments = {
      {DNNL_ARG_SRC, memory_at(picture_desc(call.src), call.src.bytes())},
      {DNNL_ARG_WEIGHTS, memory_at(layout.desc, layout.storage->data)},
      {DNNL_ARG_DST, memory_at(picture_desc(call.dst), call.dst.bytes())}};
  const Tensor& bias = call.weight.bias;
  if (bias.defined()) {
    const Desc desc = bias_desc(bias, {bias.elements()});
    arguments.emplace(DNNL_ARG_BIAS, memory_at(desc, bias.bytes()));
  }
  run(made, std::move(arguments));
}

bool DnnlEngine::try_convolution(const ConvCall& call) {
  try {
    DnnlPrimitive& made = convolution_for(call);
    if (!made.suitable) return false;
    run_convolution(made, call);
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return false;
    fail(error);
  }
  return true;
}

void DnnlEngine::convolution(const ConvCall& call) {
  try {
    run_convolution(convolution_for(call), call);
  } catch (const dnnl::error& error) {
    fail(error);
  }
}

}  // namespace flux2
