#include "models/mistral3/mistral3.h"

#include <algorithm>
#include <string>
#include <vector>

#include "flux2/error.h"

namespace flux2 {
namespace {

constexpr const char* kHead = "language_model.lm_head.weight";
constexpr const char* kTower = "vision_tower.";
constexpr const char* kProjector = "multi_modal_projector.";

[[noreturn]] void refuse_pictures(const std::string& what) {
  throw Error(ErrorCode::invalid_request, what, "image");
}

// Writes the rows of `pictures` [1, n, D], one after another, over the picture tokens of `x`
// [1, L, D].
class PictureRows {
 public:
  explicit PictureRows(const std::vector<Tensor>& pictures) : pictures_(pictures) {}

  // Overwrites tokens [begin, begin + count) of `x`.
  void write(Ops& ops, const Tensor& x, std::int64_t begin, std::int64_t count) {
    while (count > 0) {
      if (picture_ == pictures_.size())
        refuse_pictures("the prompt has more picture tokens than the pictures have patches");
      const Tensor& rows = pictures_[picture_];
      const std::int64_t taken = std::min(count, rows.dim(1) - row_);
      ops.copy(rows.slice(1, row_, taken), x.slice(1, begin, taken));
      begin += taken;
      count -= taken;
      row_ += taken;
      if (row_ == rows.dim(1)) {
        ++picture_;
        row_ = 0;
      }
    }
  }

  bool done() const { return picture_ == pictures_.size(); }

 private:
  const std::vector<Tensor>& pictures_;
  std::size_t picture_ = 0;
  std::int64_t row_ = 0;
};

}  // namespace

Mistral3::Mistral3(const ConfigFile& config, const DecoderUse& use)
    : config_(read_mistral3_config(config)),
      decoder_(config_.text, use),
      eyes_(make_eyes(config_)) {}

std::optional<Mistral3::Eyes> Mistral3::make_eyes(const Mistral3Config& config) {
  if (!config.vision) return {};
  return Eyes{VisionTower(*config.vision), Projector(config)};
}

WeightsTable Mistral3::weights(const Checkpoint& checkpoint) {
  WeightsTable table;
  decoder_.declare(table, {.decoder = "language_model.model.", .head = kHead}, checkpoint);
  if (!eyes_) return table;

  eyes_->tower.declare(table, kTower);
  eyes_->projector.declare(table, kProjector);
  if (!decoder_.generates()) {
    table.skip(kTower);
    table.skip(kProjector);
  }
  return table;
}

Tensor Mistral3::embed_picture(Ops& ops, const Tensor& picture) const {
  if (!eyes_ || !decoder_.generates()) refuse_pictures("no vision tower is loaded");
  const std::int64_t patch = config_.vision->patch_size;
  const std::int64_t unit = patch * config_.merge_size;
  const std::int64_t height = picture.dim(1);
  const std::int64_t width = picture.dim(2);
  if (height < unit || width < unit || height % unit != 0 || width % unit != 0) {
    refuse_pictures("a picture of " + std::to_string(width) + " x " + std::to_string(height) +
                    " pixels is not a multiple of " + std::to_string(unit));
  }
  const Tensor patches = eyes_->tower.forward(ops, ops.upload(picture, Role::operand));
  return eyes_->projector.forward(ops, patches, {height / patch, width / patch});
}

Tensor Mistral3::embed_prompt(Ops& ops, std::span<const std::int32_t> ids,
                              std::span<const Tensor> pictures) const {
  const Tensor x = decoder_.embed(ops, ids);
  if (pictures.empty()) return x;

  std::vector<Tensor> embedded;
  for (const Tensor& picture : pictures)
    embedded.push_back(embed_picture(ops, picture));
  PictureRows rows(embedded);
  for (auto begin = std::find(ids.begin(), ids.end(), config_.picture_token); begin != ids.end();) {
    const auto end = std::find_if(begin, ids.end(),
                                  [&](std::int32_t id) { return id != config_.picture_token; });
    rows.write(ops, x, begin - ids.begin(), end - begin);
    begin = std::find(end, ids.end(), config_.picture_token);
  }
  if (!rows.done())
    refuse_pictures("the pictures have more patches than the prompt has picture tokens");
  return x;
}

}  // namespace flux2
