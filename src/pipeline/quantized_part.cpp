#include "pipeline/quantized_part.h"

#include <algorithm>
#include <utility>

#include "base/parallel.h"
#include "checkpoint/finite.h"
#include "pipeline/copy_plan.h"

namespace flux2 {
namespace {

// Rows that are quantised before they are written.
constexpr std::int64_t kRowsAtOnce = 512;

std::vector<std::int8_t> quantized_rows(const Int8Quantizer& quantizer, std::int64_t first,
                                        std::int64_t count, float* scales) {
  const std::int64_t in = quantizer.in();
  std::vector<std::int8_t> result(static_cast<std::size_t>(count * in));
  parallel_for(count, 8, [&](std::int64_t begin, std::int64_t end) {
    Int8Quantizer::Scratch scratch(quantizer);
    std::vector<std::int8_t> row(static_cast<std::size_t>(in + kInt8OperandPadding));
    for (std::int64_t i = begin; i < end; ++i) {
      scales[i] = quantizer.quantize(first + i, scratch, row.data());
      std::copy_n(row.begin(), in, result.begin() + i * in);
    }
  });
  return result;
}

}  // namespace

QuantizedPart::QuantizedPart(const Checkpoint& checkpoint, const WeightsTable& table)
    : checkpoint_(checkpoint), kernels_(int8_kernels(best_isa())) {
  for (const WeightsTable::Entry& entry : table.entries())
    add_layer(entry);
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!quantized_.contains(name)) add_copy(name, tensor);
  }
}

std::int64_t QuantizedPart::bytes() const {
  std::size_t bytes = 0;
  for (const PlannedTensor& tensor : planned_)
    bytes += bytes_for(tensor.shape, tensor.dtype);
  return static_cast<std::int64_t>(bytes);
}

void QuantizedPart::write(const std::filesystem::path& file,
                          const std::function<void(std::int64_t written)>& report) const {
  std::map<std::string, std::string> metadata = kept_texts(checkpoint_.metadata());
  metadata.emplace("format", "pt");
  metadata.emplace("flux2.int8", "1");
  SafetensorsWriter writer(file, planned_, metadata);
  for (const Write& write : writes_)
    write(writer, [&] { report(static_cast<std::int64_t>(writer.written())); });
  writer.commit();
}

void QuantizedPart::add(PlannedTensor tensor, Write write) {
  planned_.push_back(std::move(tensor));
  writes_.push_back(std::move(write));
}

void QuantizedPart::add_layer(const WeightsTable::Entry& entry) {
  if (entry.kind != WeightKind::linear || entry.sensitivity != Sensitivity::tolerant) return;
  auto layer = std::make_shared<Layer>();
  for (const Source& source : entry.sources)
    layer->blocks.push_back(*checkpoint_.find(source.name));
  layer->quantizer = std::make_unique<Int8Quantizer>(kernels_, layer->blocks);
  ++layers_;
  if (layer->quantizer->rotation() != Rotation::none) ++rotated_;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < layer->blocks.size(); ++i) {
    add_block(entry.sources[i].name, layer, layer->blocks[i], row);
    row += layer->blocks[i].shape[0];
  }
}

void QuantizedPart::add_block(const std::string& name, const std::shared_ptr<const Layer>& layer,
                              const StoredTensor& block, std::int64_t first_row) {
  quantized_.insert(name);
  const std::int64_t out = block.shape[0];
  const auto scales = std::make_shared<std::vector<float>>(static_cast<std::size_t>(out));
  add({.name = name, .dtype = DType::i8, .shape = block.shape},
      [=, &block](WeightsWriter& writer, const Report& report) {
        require_complete(block);
        require_finite(block);
        for (std::int64_t begin = 0; begin < out; begin += kRowsAtOnce) {
          const std::int64_t count = std::min(kRowsAtOnce, out - begin);
          const std::vector<std::int8_t> bytes =
              quantized_rows(*layer->quantizer, first_row + begin, count, scales->data() + begin);
          writer.write(std::as_bytes(std::span(bytes)));
          report();
        }
        drop_pages(block);
      });
  add({.name = name + "_scale", .dtype = DType::f32, .shape = {out}},
      [scales](WeightsWriter& writer, const Report&) {
        writer.write(std::as_bytes(std::span(*scales)));
      });
  if (layer->quantizer->rotation() == Rotation::none) return;
  add({.name = name + "_rotation", .dtype = DType::i32, .shape = {1}},
      [](WeightsWriter& writer, const Report&) {
        constexpr std::int32_t kSize = kRotationSize;
        writer.write(std::as_bytes(std::span(&kSize, 1)));
      });
}

// Stored numbers as they are; what a decoder reads becomes the numbers that it gives.
void QuantizedPart::add_copy(const std::string& name, const StoredTensor& tensor) {
  const NumberEncoder* encoder = tensor.decoder == nullptr ? nullptr : find_encoder("F32");
  const DType dtype = encoder == nullptr ? tensor.dtype : encoder->plain;
  add({.name = name, .dtype = dtype, .shape = tensor.shape},
      [copy = TensorCopy{name, tensor, encoder}](WeightsWriter& writer, const Report& report) {
        write_copy(copy, writer, report);
      });
}

}  // namespace flux2
