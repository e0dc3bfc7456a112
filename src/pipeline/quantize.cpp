#include "flux2/quantize.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "backends/cpu/int8_quantizer.h"
#include "base/parallel.h"
#include "checkpoint/finite.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/weights_table.h"
#include "flux2/error.h"
#include "flux2/model.h"
#include "models/flux2/weights.h"
#include "models/language/language_model.h"
#include "pipeline/model_folder.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// Rows that are quantised before they are written.
constexpr std::int64_t kRowsAtOnce = 512;
// Bytes that are copied before progress is reported.
constexpr std::size_t kBytesAtOnce = std::size_t{16} << 20;

// The file of one part, in the order it is written.
class QuantizedPart {
 public:
  QuantizedPart(std::string name, const Checkpoint& checkpoint, const WeightsTable& table)
      : name_(std::move(name)), checkpoint_(checkpoint), kernels_(int8_kernels(best_isa())) {
    for (const WeightsTable::Entry& entry : table.entries())
      add_layer(entry);
    for (const auto& [tensor_name, tensor] : checkpoint.tensors()) {
      if (!quantized_.contains(tensor_name)) add_copy(tensor_name, tensor);
    }
  }

  void write(const fs::path& file, const QuantizeOptions& options, QuantizeResult& result) const {
    SafetensorsWriter writer(file, planned_, {{"format", "pt"}, {"flux2.int8", "1"}});
    const auto report = [&] {
      if (options.stop.stop_requested()) throw Error(ErrorCode::cancelled, "quantising was ended");
      if (!options.progress) return;
      options.progress({.part = name_,
                        .done = static_cast<std::int64_t>(writer.written()),
                        .total = static_cast<std::int64_t>(writer.total())});
    };
    for (const Write& write : writes_)
      write(writer, report);
    writer.commit();
    result.bytes_before += static_cast<std::int64_t>(checkpoint_.bytes());
    result.bytes_after += static_cast<std::int64_t>(writer.total());
    result.quantized_layers += layers_;
    result.rotated_layers += rotated_;
  }

 private:
  using Report = std::function<void()>;
  using Write = std::function<void(SafetensorsWriter& writer, const Report& report)>;
  // A linear layer: its row blocks share their inputs, and so their rotation.
  struct Layer {
    std::vector<StoredTensor> blocks;
    std::unique_ptr<Int8Quantizer> quantizer;
  };

  void add(PlannedTensor tensor, Write write) {
    planned_.push_back(std::move(tensor));
    writes_.push_back(std::move(write));
  }

  void add_layer(const WeightsTable::Entry& entry) {
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

  void add_block(const std::string& block_name, const std::shared_ptr<const Layer>& layer,
                 const StoredTensor& block, std::int64_t first_row) {
    quantized_.insert(block_name);
    const std::int64_t out = block.shape[0];
    const auto scales = std::make_shared<std::vector<float>>(static_cast<std::size_t>(out));
    add({.name = block_name, .dtype = DType::i8, .shape = block.shape},
        [=, &block](SafetensorsWriter& writer, const Report& report) {
          require_finite(block);
          for (std::int64_t begin = 0; begin < out; begin += kRowsAtOnce) {
            const std::int64_t count = std::min(kRowsAtOnce, out - begin);
            const std::vector<std::int8_t> bytes =
                rows(*layer->quantizer, first_row + begin, count, scales->data() + begin);
            writer.write(std::as_bytes(std::span(bytes)));
            report();
          }
          drop_pages(block);
        });
    add({.name = block_name + "_scale", .dtype = DType::f32, .shape = {out}},
        [scales](SafetensorsWriter& writer, const Report&) {
          writer.write(std::as_bytes(std::span(*scales)));
        });
    if (layer->quantizer->rotation() == Rotation::none) return;
    add({.name = block_name + "_rotation", .dtype = DType::i32, .shape = {1}},
        [](SafetensorsWriter& writer, const Report&) {
          constexpr std::int32_t kSize = kRotationSize;
          writer.write(std::as_bytes(std::span(&kSize, 1)));
        });
  }

  static std::vector<std::int8_t> rows(const Int8Quantizer& quantizer, std::int64_t first,
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

  // Stored numbers as they are; what a decoder reads becomes the numbers that it gives.
  void add_copy(const std::string& tensor_name, const StoredTensor& tensor) {
    const DType dtype = tensor.decoder == nullptr ? tensor.dtype : DType::f32;
    add({.name = tensor_name, .dtype = dtype, .shape = tensor.shape},
        [&tensor](SafetensorsWriter& writer, const Report& report) {
          if (tensor.decoder != nullptr) return write_decoded(tensor, writer);
          for (std::span<const std::byte> rest = tensor.bytes; !rest.empty();) {
            const std::size_t size = std::min(kBytesAtOnce, rest.size());
            writer.write(rest.first(size));
            rest = rest.subspan(size);
            report();
          }
          drop_pages(tensor);
        });
  }

  static void write_decoded(const StoredTensor& tensor, SafetensorsWriter& writer) {
    const std::int64_t rows = tensor.shape.rank() == 0 ? 1 : tensor.shape[0];
    std::vector<float> numbers(static_cast<std::size_t>(row_elements(tensor)));
    for (std::int64_t row = 0; row < rows; ++row) {
      read_rows(tensor, row, 1, numbers.data());
      writer.write(std::as_bytes(std::span(numbers)));
    }
  }

  std::string name_;
  const Checkpoint& checkpoint_;
  const Int8Kernels& kernels_;
  std::vector<PlannedTensor> planned_;
  std::vector<Write> writes_;  // of the planned tensors, in order
  std::set<std::string> quantized_;
  std::int64_t layers_ = 0;
  std::int64_t rotated_ = 0;
};

// A folder that takes its name when all is in it, and else disappears.
class NewFolder {
 public:
  explicit NewFolder(fs::path path)
      : path_(std::move(path)),
        temporary_(path_.string() + ".partial-" + std::to_string(getpid())) {
    if (fs::exists(path_)) {
      throw Error(ErrorCode::bad_file, "there is something of that name already", path_.string(),
                  "choose another folder or remove it");
    }
    attempt([&](std::error_code& code) { fs::create_directories(temporary_, code); });
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;
  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
  }

  const fs::path& path() const { return temporary_; }
  void commit() {
    attempt([&](std::error_code& code) { fs::rename(temporary_, path_, code); });
  }
  void copy(const fs::path& file, const fs::path& relative) const {
    const fs::path target = temporary_ / relative;
    attempt([&](std::error_code& code) {
      fs::create_directories(target.parent_path(), code);
      if (!code) fs::copy_file(file, target, code);
    });
  }

 private:
  template <typename Action>
  void attempt(Action action) const {
    std::error_code code;
    action(code);
    if (!code) return;
    throw Error(ErrorCode::bad_file, "cannot be written: " + code.message(), path_.string(),
                "choose a folder that can be written, on a disk with room");
  }

  fs::path path_;
  fs::path temporary_;
};

// The names of the weights of a part that is quantised, as Diffusers and transformers call them.
const std::map<std::string, std::string> kQuantizedParts = {
    {"transformer", "diffusion_pytorch_model.safetensors"}, {"text_encoder", "model.safetensors"}};

bool is_rewritten(const fs::path& relative) {
  if (!kQuantizedParts.contains(relative.begin()->string())) return false;
  const std::string name = relative.filename().string();
  return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

void copy_the_rest(const fs::path& model, const NewFolder& folder) {
  for (const auto& item : fs::recursive_directory_iterator(model)) {
    if (!item.is_regular_file()) continue;
    const fs::path relative = item.path().lexically_relative(model);
    if (!is_rewritten(relative)) folder.copy(item.path(), relative);
  }
}

void quantize_transformer(const ModelFolder& model, const fs::path& file,
                          const QuantizeOptions& options, QuantizeResult& result) {
  const Checkpoint checkpoint = model.weights_of("transformer");
  TransformerWeights weights;
  WeightsTable table;
  declare(table, weights, model.transformer);
  table.check(checkpoint);
  QuantizedPart("transformer", checkpoint, table).write(file, options, result);
}

void quantize_text_encoder(const ModelFolder& model, const fs::path& file,
                           const QuantizeOptions& options, QuantizeResult& result) {
  const Checkpoint checkpoint = model.weights_of("text_encoder");
  const ConfigFile config = model.config_of(PartKind::text_encoder).file;
  const auto encoder =
      make_language_model(config, {.taps = {}, .generation = DecoderUse::Generation::yes});
  const WeightsTable table = encoder->weights(checkpoint);
  table.check(checkpoint);
  QuantizedPart("text_encoder", checkpoint, table).write(file, options, result);
}

}  // namespace

QuantizeResult quantize_model(const std::string& model, const fs::path& folder,
                              const QuantizeOptions& options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::invalid_request, "threads must not be negative");
  }
  set_thread_count(options.threads > 0 ? options.threads : available_cores());
  const ModelFolder source = ModelFolder::open(find_model(model));
  if (source.places.pipeline_folder != source.path) {
    throw Error(ErrorCode::bad_file, "is not a folder with a model_index.json",
                source.path.string(), "quantise a model in Diffusers' layout");
  }
  NewFolder target(folder);
  copy_the_rest(source.path, target);
  QuantizeResult result;
  quantize_transformer(source, target.path() / "transformer" / kQuantizedParts.at("transformer"),
                       options, result);
  quantize_text_encoder(source, target.path() / "text_encoder" / kQuantizedParts.at("text_encoder"),
                        options, result);
  target.commit();
  return result;
}

}  // namespace flux2
