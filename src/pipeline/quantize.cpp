#include "flux2/quantize.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/disk_space.h"
#include "base/parallel.h"
#include "flux2/error.h"
#include "pipeline/copy_plan.h"
#include "pipeline/diffusers_folder.h"
#include "pipeline/part_table.h"
#include "pipeline/quantize_source.h"
#include "pipeline/quantized_part.h"

namespace flux2 {
namespace {

namespace fs = std::filesystem;

// A part that is written with integers, and what that needs to stay.
class PlannedPart {
 public:
  PlannedPart(PartKind kind, const fs::path& path)
      : kind_(kind),
        weights_(Checkpoint::open(path, kind)),
        table_(kind, config_of_part(path, kind).file, weights_) {
    table_.table().check(weights_);
    part_ = std::make_unique<QuantizedPart>(weights_, table_.table());
  }
  PlannedPart(const PlannedPart&) = delete;
  PlannedPart& operator=(const PlannedPart&) = delete;

  std::int64_t bytes() const { return part_->bytes(); }

  void write(const fs::path& file, const QuantizeOptions& options, QuantizedModel& made) const {
    part_->write(file, [&](std::int64_t written) {
      if (options.stop.stop_requested()) throw Error(ErrorCode::cancelled, "quantising was ended");
      if (!options.progress) return;
      options.progress(
          {.part = std::string(name_of(kind_)), .done = written, .total = part_->bytes()});
    });
    made.parts.emplace_back(name_of(kind_));
    made.tensors += part_->tensors();
    made.layers.quantized_layers += part_->layers();
    made.layers.rotated_layers += part_->rotated();
    made.bytes_before += static_cast<std::int64_t>(weights_.bytes());
    made.bytes_after += part_->bytes();
    if (kind_ == PartKind::vae) return;
    made.layers.bytes_before += static_cast<std::int64_t>(weights_.bytes());
    made.layers.bytes_after += part_->bytes();
  }

 private:
  PartKind kind_;
  Checkpoint weights_;
  PartTable table_;
  std::unique_ptr<QuantizedPart> part_;  // points into the others
};

}  // namespace

QuantizedModel quantize_source(const ModelSource& model, const fs::path& folder,
                               const QuantizeOptions& options) {
  if (options.threads < 0) {
    throw Error(ErrorCode::invalid_request, "threads must not be negative", "threads");
  }
  set_thread_count(options.threads > 0 ? options.threads : available_cores());
  require_absent(folder);
  const FolderSource source = FolderSource::open(model);
  std::map<PartKind, std::unique_ptr<PlannedPart>> parts;
  std::int64_t bytes = 0;
  for (const auto& [kind, path] : source.places.parts) {
    parts.emplace(kind, std::make_unique<PlannedPart>(kind, path));
    bytes += parts.at(kind)->bytes();
  }
  require_disk_space(folder, bytes);
  DiffusersFolder target(source, folder);
  QuantizedModel made;
  for (const auto& [kind, part] : parts)
    part->write(target.weights_path(kind), options, made);
  target.commit();
  return made;
}

QuantizeResult quantize_model(const std::string& model, const fs::path& folder,
                              const QuantizeOptions& options) {
  return quantize_source({.model = model}, folder, options).layers;
}

}  // namespace flux2
