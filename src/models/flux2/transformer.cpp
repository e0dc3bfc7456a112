#include "models/flux2/transformer.h"

#include <string>

#include "models/flux2/double_stream_block.h"
#include "models/flux2/modulation.h"
#include "models/flux2/single_stream_block.h"

namespace flux2 {
namespace {

// References are modulated as if the picture were finished.
constexpr float kReferenceTimestep = 0.0f;

JointLayout layout_of(const Conditioning& conditioning, const Tensor& latents) {
  JointLayout layout;
  layout.batch = latents.dim(0);
  layout.txt = conditioning.txt.dim(1);
  layout.img = latents.dim(1);
  if (!conditioning.references.defined()) return layout;
  if (conditioning.use == ReferenceUse::tokens) {
    layout.img += conditioning.references.dim(1);
  } else {
    layout.references = conditioning.references.dim(1);
    layout.step = conditioning.cache.empty() ? ReferenceStep::extract : ReferenceStep::reuse;
  }
  return layout;
}

RopeTable joined(Ops& ops, const RopeTable& a, const RopeTable& b) {
  RopeTable both;
  for (const auto part : {&RopeTable::cos, &RopeTable::sin}) {
    const std::int64_t split = (a.*part).dim(0);
    const std::int64_t rest = (b.*part).dim(0);
    both.*part = ops.empty({split + rest, (a.*part).dim(1)}, Role::stream);
    ops.copy(a.*part, (both.*part).slice(0, 0, split));
    ops.copy(b.*part, (both.*part).slice(0, split, rest));
  }
  return both;
}

// One step through the blocks. The residual stream is one tensor, [txt ; references ; img], and
// the streams of the blocks are views of it. Where references are reused they have no rows.
class Step {
 public:
  Step(Ops& ops, const TransformerConfig& config, const TransformerWeights& weights,
       Conditioning& conditioning, const Tensor& latents)
      : ops_(ops),
        config_(config),
        weights_(weights),
        conditioning_(conditioning),
        layout_(layout_of(conditioning, latents)),
        latent_tokens_(latents.dim(1)) {
    const std::int64_t rows = layout_.tokens() - (reusing() ? layout_.references : 0);
    x_ = ops.empty({layout_.batch, rows, config.dim()}, Role::stream);
    txt_ = {0, layout_.txt};
    references_ = {layout_.txt, layout_.references};
    img_ = {layout_.img_place(), layout_.img};
    embed(latents);
    conditioning_.cache.resize(weights.double_blocks.size() + weights.single_blocks.size());
  }

  void run(const StepModulations& now, const StepModulations& references) {
    const BlockContext ctx = {ops_, config_, layout_, conditioning_.attention_bias};
    const std::vector<DoubleStream> double_streams = streams_of_double_blocks(now, references);
    auto cache = conditioning_.cache.begin();
    for (std::size_t i = 0; i < weights_.double_blocks.size(); ++i) {
      DoubleStreamBlock(weights_.double_blocks[i]).forward(ctx, double_streams, *cache++);
      ops_.mark("double" + std::to_string(i) + ".txt", txt_.of(x_));
      ops_.mark("double" + std::to_string(i) + ".img", img_rows());
    }
    const std::vector<SingleStream> single_streams = streams_of_single_blocks(now, references);
    for (std::size_t i = 0; i < weights_.single_blocks.size(); ++i) {
      SingleStreamBlock(weights_.single_blocks[i]).forward(ctx, single_streams, *cache++);
      ops_.mark("single" + std::to_string(i), x_);
    }
  }

  Tensor latents() const { return img_rows().slice(1, 0, latent_tokens_); }
  bool extracting() const { return layout_.step == ReferenceStep::extract; }

 private:
  bool reusing() const { return layout_.step == ReferenceStep::reuse; }
  // Image rows are the last ones in any case.
  Tensor img_rows() const { return x_.slice(1, x_.dim(1) - layout_.img, layout_.img); }

  void embed(const Tensor& latents) {
    ops_.copy(conditioning_.txt, txt_.of(x_));
    ops_.linear(latents, weights_.x_embedder, this->latents());
    if (conditioning_.references.defined() && !reusing()) {
      const bool behind = layout_.step == ReferenceStep::none;
      ops_.copy(conditioning_.references,
                behind ? img_rows().slice(1, latent_tokens_, layout_.img - latent_tokens_)
                       : references_.of(x_));
    }
    ops_.mark("x_embedder", img_rows());
  }

  RopeTable img_rope() {
    if (layout_.img == latent_tokens_) return conditioning_.latent_rope;
    return joined(ops_, conditioning_.latent_rope, conditioning_.reference_rope);
  }

  std::vector<DoubleStream> streams_of_double_blocks(const StepModulations& now,
                                                     const StepModulations& references) {
    using Kind = DoubleStream::Kind;
    std::vector<DoubleStream> streams = {
        {Kind::txt, txt_, txt_.of(x_), &now.double_txt, conditioning_.txt_rope},
        {Kind::img, img_, img_rows(), &now.double_img, img_rope()}};
    if (extracting()) {
      streams.push_back({Kind::img, references_, references_.of(x_), &references.double_img,
                         conditioning_.reference_rope});
    }
    return streams;
  }

  std::vector<SingleStream> streams_of_single_blocks(const StepModulations& now,
                                                     const StepModulations& references) {
    const RopeTable& txt_rope = conditioning_.txt_rope;
    if (layout_.step == ReferenceStep::none) {
      return {{{0, layout_.tokens()}, x_, &now.single, joined(ops_, txt_rope, img_rope())}};
    }
    std::vector<SingleStream> streams = {{txt_, txt_.of(x_), &now.single, txt_rope},
                                         {img_, img_rows(), &now.single, img_rope()}};
    if (extracting()) {
      streams.push_back(
          {references_, references_.of(x_), &references.single, conditioning_.reference_rope});
    }
    return streams;
  }

  Ops& ops_;
  const TransformerConfig& config_;
  const TransformerWeights& weights_;
  Conditioning& conditioning_;
  JointLayout layout_;
  std::int64_t latent_tokens_;
  Tensor x_;  // [B, rows, D]
  TokenRun txt_, references_, img_;
};

}  // namespace

Transformer Transformer::load(const Checkpoint& checkpoint, const TransformerConfig& config,
                              Ops& ops, const LoadProgress& progress) {
  Transformer model(config);
  model.weights().load(checkpoint, ops, progress);
  return model;
}

Transformer::Transformer(const TransformerConfig& config)
    : config_(config), weights_(std::make_unique<TransformerWeights>()) {}

WeightsTable Transformer::weights() {
  WeightsTable table;
  declare(table, *weights_, config_);
  return table;
}

Conditioning Transformer::condition(Ops& ops, const ConditioningInputs& inputs) const {
  Conditioning result;
  result.use = inputs.use;
  result.attention_bias = inputs.attention_bias;
  result.txt = ops.linear(inputs.text, weights_->context_embedder, Role::stream);
  ops.mark("context_embedder", result.txt);
  result.txt_rope = make_rope(ops, config_, inputs.text_positions);
  result.latent_rope = make_rope(ops, config_, inputs.latent_positions);
  if (inputs.references.defined()) {
    result.references = ops.linear(inputs.references, weights_->x_embedder, Role::stream);
    result.reference_rope = make_rope(ops, config_, inputs.reference_positions);
  }
  return result;
}

Tensor Transformer::velocity(Ops& ops, Conditioning& conditioning, const Tensor& latents,
                             std::span<const float> timesteps,
                             std::span<const float> guidance) const {
  Step step(ops, config_, *weights_, conditioning, latents);
  const StepModulations now = modulate(ops, *weights_, config_, timesteps, guidance);
  StepModulations references;
  if (step.extracting()) {
    const std::vector<float> finished(timesteps.size(), kReferenceTimestep);
    references = modulate(ops, *weights_, config_, finished, guidance);
  }
  step.run(now, references);

  const Tensor h = ops.adaln(step.latents(), now.out_scale, now.out_shift, config_.eps);
  ops.mark("norm_out", h);
  Tensor output = ops.linear(h, weights_->proj_out, Role::stream);
  ops.mark("output", output);
  return output;
}

}  // namespace flux2
