#include "backends/cpu/cpu_ops.h"
#include "faulty_ops.h"
#include "mutation.h"
#include "transformer_golden.h"

namespace flux2::mutations {
namespace {

using namespace golden;  // NOLINT(google-build-using-namespace): the goldens' vocabulary

// What one golden forward pass is made from; a mutation spoils a part of it.
struct Setup {
  explicit Setup(const std::string& name)
      : checkpoint(name),
        file("transformer/" + name + ".safetensors"),
        config(transformer_config(name)),
        forward(file, "") {}

  double error() {
    const std::unique_ptr<Ops> backend = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
    FaultyOps ops(*backend, faults);
    const Transformer model = load_transformer(checkpoint, config, ops);
    return relative_error(velocity(ops, model, forward), file.tensor("output"));
  }

  std::string checkpoint;
  GoldenFile file;
  TransformerConfig config;
  Forward forward;
  FaultyOps::Faults faults;
};

Mutation spoiled(const std::string& fault, const std::string& checkpoint,
                 std::function<void(Setup&)> spoil) {
  return {fault, "transformer/" + checkpoint, [=] {
            Setup setup(checkpoint);
            spoil(setup);
            return setup.error();
          }};
}

Tensor ones_like(Ops& ops, const Tensor& x) {
  const std::vector<float> ones(static_cast<std::size_t>(x.elements()), 1.0f);
  return ops.upload(make_host_tensor(x.shape(), ones), Role::stream);
}

std::vector<Mutation> operation_mutations() {
  return {
      spoiled("modulation: shift and scale swapped", "tiny-klein",
              [](Setup& s) {
                s.faults.adaln = [](Ops& ops, const Tensor& x, const Tensor& scale,
                                    const Tensor& shift, float eps,
                                    const Tensor& out) { ops.adaln(x, shift, scale, eps, out); };
              }),
      spoiled("SwiGLU: silu on the second half", "tiny-klein",
              [](Setup& s) {
                s.faults.swiglu = [](Ops& ops, const Tensor& x, const Tensor& out) {
                  const std::int64_t half = x.dim(-1) / 2;
                  const int axis = x.rank() - 1;
                  const Tensor swapped = ops.empty(x.shape(), Role::stream);
                  ops.copy(x.slice(axis, 0, half), swapped.slice(axis, half, half));
                  ops.copy(x.slice(axis, half, half), swapped.slice(axis, 0, half));
                  ops.swiglu(swapped, out);
                };
              }),
      spoiled("rope: halves instead of pairs", "tiny-klein",
              [](Setup& s) {
                s.faults.rms_norm_rope = [](Ops& ops, const Tensor& x, const Tensor& weight,
                                            float eps, const RopeTable& rope, RopeLayout) {
                  ops.rms_norm_rope(x, weight, eps, rope, RopeLayout::halves);
                };
              }),
      spoiled("q/k norm weights ignored", "tiny-klein",
              [](Setup& s) {
                s.faults.rms_norm_rope = [](Ops& ops, const Tensor& x, const Tensor& weight,
                                            float eps, const RopeTable& rope, RopeLayout layout) {
                  ops.rms_norm_rope(x, ones_like(ops, weight), eps, rope, layout);
                };
              }),
      spoiled("attention made causal", "tiny-klein",
              [](Setup& s) {
                s.faults.attention = [](Ops& ops, const Tensor& q, const Tensor& k, const Tensor& v,
                                        const AttentionMask& mask, const Tensor& out) {
                  AttentionMask causal = mask;
                  causal.causality = Causality::causal;
                  ops.attention(q, k, v, causal, out);
                };
              }),
      spoiled("attention: keys and values swapped", "head128",
              [](Setup& s) {
                s.faults.attention = [](Ops& ops, const Tensor& q, const Tensor& k, const Tensor& v,
                                        const AttentionMask& mask,
                                        const Tensor& out) { ops.attention(q, v, k, mask, out); };
              }),
      spoiled("gates dropped", "tiny-klein-base",
              [](Setup& s) {
                s.faults.linear_add_gated = [](Ops& ops, const Tensor& x, const Weight& weight,
                                               const Tensor&, const Tensor& residual) {
                  ops.linear_add_gated(x, weight, {}, residual);
                };
              }),
      spoiled("modulation: silu left out", "tiny-klein",
              [](Setup& s) {
                s.faults.activate = [](Ops& ops, const Tensor& x, Activation, const Tensor& out) {
                  ops.copy(x, out);
                };
              }),
  };
}

std::vector<Mutation> input_mutations() {
  return {
      spoiled("rope: theta 10000 instead of 2000", "tiny-klein",
              [](Setup& s) { s.config.rope_theta = 10000; }),
      spoiled("timestep not multiplied by 1000", "tiny-klein",
              [](Setup& s) {
                for (float& t : s.forward.timesteps)
                  t /= 1000;
              }),
      spoiled("guidance dropped", "tiny-dev", [](Setup& s) { s.forward.guidance.clear(); }),
      spoiled("text positions start after the image tokens", "tiny-klein",
              [](Setup& s) {
                for (Position& p : s.forward.txt_positions)
                  p[3] += 30;
              }),
      spoiled("rows and columns swapped", "tiny-klein",
              [](Setup& s) {
                for (Position& p : s.forward.img_positions)
                  std::swap(p[1], p[2]);
              }),
      spoiled("reference t is 1 instead of 10", "tiny-klein",
              [](Setup& s) {
                for (Position& p : s.forward.img_positions)
                  p[0] /= 10;
              }),
      spoiled("layer norm eps 1e-2", "tiny-dev", [](Setup& s) { s.config.eps = 1e-2f; }),
  };
}

// References of klein KV as ordinary tokens: they see everything, at the present time.
Mutation kv_mutation() {
  return {"klein KV: references attend to everything", "transformer/tiny-klein-kv.kv", [] {
            const std::unique_ptr<Ops> ops =
                make_cpu_ops({.compute = ComputeType::f32, .most = {}});
            const GoldenFile file("transformer/tiny-klein-kv.kv.safetensors");
            const Transformer model =
                load_transformer("tiny-klein-kv", transformer_config("tiny-klein-kv"), *ops);
            const Forward forward(file, "extract.");
            ConditioningInputs inputs = forward.inputs_with_leading_references(6);
            inputs.use = ReferenceUse::tokens;
            Conditioning conditioning = model.condition(*ops, inputs);
            const Tensor v = ops->download(model.velocity(
                *ops, conditioning, forward.latents.slice(1, 6, 24), forward.timesteps, {}));
            return relative_error(v, file.tensor("extract.output"));
          }};
}

}  // namespace

std::vector<Mutation> transformer_mutations() {
  std::vector<Mutation> all = operation_mutations();
  for (Mutation& mutation : input_mutations())
    all.push_back(std::move(mutation));
  all.push_back(kv_mutation());
  return all;
}

}  // namespace flux2::mutations
