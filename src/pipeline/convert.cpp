#include "flux2/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/disk_space.h"
#include "base/parallel.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/safetensors_writer.h"
#include "flux2/error.h"
#include "flux2/quantize.h"
#include "pipeline/copy_plan.h"
#include "pipeline/diffusers_folder.h"
#include "pipeline/gguf_layout.h"
#include "pipeline/part_table.h"
#include "pipeline/quantize_source.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// What a type is called in a file, and what GGUF's "general.file_type" calls a file of it
// (llama.cpp's llama_ftype).
struct TypeNames {
  StoredAs type;
  std::string_view encoder;
  std::int64_t file_type;
};
constexpr TypeNames kTypes[] = {
    {StoredAs::f32, "F32", 0},    {StoredAs::f16, "F16", 1},    {StoredAs::bf16, "BF16", 32},
    {StoredAs::q8_0, "Q8_0", 7},  {StoredAs::q6_k, "Q6_K", 18}, {StoredAs::q5_k, "Q5_K", 16},
    {StoredAs::q4_k, "Q4_K", 14}, {StoredAs::q4_0, "Q4_0", 2},
};

constexpr StoredAs kGgufDefault = StoredAs::q8_0;

const TypeNames& names_of(StoredAs type) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes),
                       [type](const TypeNames& names) { return names.type == type; });
}

[[noreturn]] void refuse(const std::string& what, const std::string& argument,
                         const std::string& hint) {
  throw Error(ErrorCode::invalid_request, what, argument, hint);
}

// The type that was asked for, where the layout has it.
const NumberEncoder* asked_encoder(const ConvertOptions& options) {
  if (options.to == ConvertTarget::int8 && options.type) {
    refuse("int8 is a type of its own", "type", "leave the type out");
  }
  if (options.to == ConvertTarget::gguf) {
    return find_encoder(names_of(options.type.value_or(kGgufDefault)).encoder);
  }
  if (!options.type) return nullptr;
  const NumberEncoder* encoder = find_encoder(names_of(*options.type).encoder);
  if (encoder->is_plain()) return encoder;
  refuse(fmt::format("{} is stored in GGUF files only", encoder->name), "type",
         "convert to gguf, or take bf16, f16 or f32");
}

// One part on its way into a file.
class PlannedPart {
 public:
  PlannedPart(PartKind kind, const fs::path& path, const ConvertOptions& options)
      : kind_(kind),
        options_(options),
        weights_(Checkpoint::open(path, kind)),
        metadata_(weights_.metadata()) {
    const ConfigFile config = config_of_part(path, kind).file;
    const PartTable declared(kind, config, weights_);
    declared.table().check(weights_);
    TensorMap tensors = weights_.tensors();
    CopyTarget target = {.naming = nullptr,
                         .heads = weights_.facts().heads(),
                         .types = {.format = format(), .asked = asked_encoder(options)}};
    if (options.to == ConvertTarget::bfl) target.naming = &naming_of(kind, "BFL");
    if (options.to == ConvertTarget::gguf) {
      const GgufLayout layout = gguf_layout(kind, config, weights_);
      target.naming = layout.naming;
      target.heads = layout.heads;
      metadata_ = with_file_type(layout.metadata);
      std::erase_if(tensors,
                    [kind](const auto& item) { return is_left_out_of_gguf(kind, item.first); });
    }
    copies_ = plan_copies(tensors, declared.table(), target, weights_.path().string());
  }

  std::int64_t bytes() const { return copied_bytes(copies_); }

  void write(const fs::path& file, ConvertResult& result) const {
    const std::unique_ptr<WeightsWriter> writer = writer_for(file);
    for (const TensorCopy& copy : copies_) {
      write_copy(copy, *writer, [&] { report(*writer); });
      result.quantized += copy.encoder != nullptr && !copy.encoder->is_plain() ? 1 : 0;
    }
    report(*writer);
    writer->commit();
    result.parts.emplace_back(name_of(kind_));
    result.tensors += static_cast<std::int64_t>(copies_.size());
    result.bytes_before += static_cast<std::int64_t>(weights_.bytes());
    result.bytes_after += bytes();
  }

 private:
  WeightsFormat format() const {
    return options_.to == ConvertTarget::gguf ? WeightsFormat::gguf : WeightsFormat::safetensors;
  }

  Metadata with_file_type(const Metadata& metadata) const {
    auto values = metadata.values();
    values.insert_or_assign("general.file_type",
                            names_of(options_.type.value_or(kGgufDefault)).file_type);
    return Metadata(std::move(values));
  }

  std::unique_ptr<WeightsWriter> writer_for(const fs::path& file) const {
    if (format() == WeightsFormat::gguf) {
      std::vector<PlannedBlocks> planned;
      for (const TensorCopy& copy : copies_)
        planned.push_back({copy.name, copy.encoder, copy.source.shape});
      return std::make_unique<GgufWriter>(file, planned, metadata_);
    }
    std::vector<PlannedTensor> planned;
    for (const TensorCopy& copy : copies_) {
      const DType dtype = copy.encoder == nullptr ? copy.source.dtype : copy.encoder->plain;
      planned.push_back({copy.name, dtype, copy.source.shape});
    }
    std::map<std::string, std::string> texts = kept_texts(metadata_);
    texts.emplace("format", "pt");
    return std::make_unique<SafetensorsWriter>(file, planned, texts);
  }

  void report(const WeightsWriter& writer) const {
    if (options_.stop.stop_requested()) throw Error(ErrorCode::cancelled, "converting was ended");
    if (!options_.progress) return;
    options_.progress({.part = std::string(name_of(kind_)),
                       .done = static_cast<std::int64_t>(writer.written()),
                       .total = static_cast<std::int64_t>(writer.total())});
  }

  PartKind kind_;
  const ConvertOptions& options_;
  Checkpoint weights_;
  Metadata metadata_;
  std::vector<TensorCopy> copies_;
};

ConvertResult to_folder(const ModelSource& source, const fs::path& target,
                        const ConvertOptions& options) {
  if (!options.part.empty()) {
    refuse("a folder holds every part", "part", "name a part only for one file: bfl, gguf");
  }
  const FolderSource model = FolderSource::open(source);
  std::map<PartKind, std::unique_ptr<PlannedPart>> parts;
  std::int64_t bytes = 0;
  for (const auto& [kind, path] : model.places.parts) {
    parts.emplace(kind, std::make_unique<PlannedPart>(kind, path, options));
    bytes += parts.at(kind)->bytes();
  }
  require_disk_space(target, bytes);
  DiffusersFolder folder(model, target);
  ConvertResult result;
  for (const auto& [kind, part] : parts)
    part->write(folder.weights_path(kind), result);
  folder.commit();
  return result;
}

// The part that becomes one file.
PartKind chosen_part(const ModelPlaces& places, const ConvertOptions& options) {
  for (const PartKind part : {PartKind::transformer, PartKind::vae, PartKind::text_encoder}) {
    const bool wanted = options.part.empty()
                            ? part == PartKind::transformer || places.parts.size() == 1
                            : options.part == name_of(part);
    if (wanted && places.parts.contains(part)) return part;
  }
  if (options.part.empty()) {
    refuse("holds several parts", "part", "say which: transformer, vae, text_encoder");
  }
  throw Error(ErrorCode::bad_file, fmt::format("has no part \"{}\"", options.part),
              places.path.string(), "parts are transformer, vae and text_encoder");
}

void require_file_of(PartKind part, ConvertTarget target) {
  const bool gguf = target == ConvertTarget::gguf;
  if (part != (gguf ? PartKind::vae : PartKind::text_encoder)) return;
  refuse(fmt::format("a {} is not written as {}", name_of(part),
                     gguf ? "GGUF" : "one file in Black Forest Labs' names"),
         "part", "convert the whole model to a folder: --to diffusers");
}

ConvertResult to_file(const ModelSource& source, const fs::path& target,
                      const ConvertOptions& options) {
  const ModelPlaces places = find_parts(source);
  const PartKind kind = chosen_part(places, options);
  require_file_of(kind, options.to);
  const PlannedPart part(kind, places.parts.at(kind), options);
  require_disk_space(target, part.bytes());
  ConvertResult result;
  part.write(target, result);
  return result;
}

ConvertResult to_int8(const ModelSource& source, const fs::path& target,
                      const ConvertOptions& options) {
  QuantizeOptions how = {.threads = options.threads, .stop = options.stop};
  if (options.progress) {
    how.progress = [&](const QuantizeProgress& progress) {
      options.progress({.part = progress.part, .done = progress.done, .total = progress.total});
    };
  }
  const QuantizedModel made = quantize_source(source, target, how);
  return {.parts = made.parts,
          .tensors = made.tensors,
          .quantized = made.layers.quantized_layers,
          .bytes_before = made.bytes_before,
          .bytes_after = made.bytes_after};
}

}  // namespace

ConvertResult convert_model(const ModelSource& source, const fs::path& target,
                            const ConvertOptions& options) {
  if (options.threads < 0) refuse("threads must not be negative", "threads", "");
  set_thread_count(options.threads > 0 ? options.threads : available_cores());
  asked_encoder(options);  // refuses before any file is opened
  require_absent(target);
  switch (options.to) {
    case ConvertTarget::diffusers:
      return to_folder(source, target, options);
    case ConvertTarget::bfl:
    case ConvertTarget::gguf:
      return to_file(source, target, options);
    case ConvertTarget::int8:
      break;
  }
  return to_int8(source, target, options);
}

}  // namespace flux2
