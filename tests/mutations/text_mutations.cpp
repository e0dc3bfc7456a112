#include "backends/cpu/cpu_ops.h"
#include "faulty_ops.h"
#include "mutation.h"
#include "text_model.h"

namespace flux2::mutations {
namespace {

using namespace golden;  // NOLINT(google-build-using-namespace): the goldens' vocabulary

struct Setup {
  double error() {
    const GoldenFile file("text/" + checkpoint + ".safetensors");
    const std::unique_ptr<Ops> backend = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
    TextModel text(std::make_unique<FaultyOps>(*backend, faults), checkpoint, {.taps = taps});
    TokenBatch batch = read_batch(file, {"prompt0"});
    if (whole_text_is_real) batch.real[0] = {0, batch.length};
    const Tensor embeds =
        text.ops().download(text.decoder().hidden_states(text.ops(), batch, taps));
    return relative_error(embeds[0], file.tensor("prompt0.embeds"));
  }

  std::string checkpoint;
  std::vector<std::int64_t> taps;
  bool whole_text_is_real = false;
  FaultyOps::Faults faults;
};

Mutation spoiled(const std::string& fault, const std::string& checkpoint,
                 std::function<void(Setup&)> spoil) {
  return {fault, "text/" + checkpoint, [=] {
            Setup setup;
            setup.checkpoint = checkpoint;
            setup.taps = checkpoint == "tiny-dev" ? std::vector<std::int64_t>{10, 20, 30}
                                                  : std::vector<std::int64_t>{9, 18, 27};
            spoil(setup);
            return setup.error();
          }};
}

void rotate_pairs(Setup& s) {
  s.faults.rms_norm_rope = [](Ops& ops, const Tensor& x, const Tensor& weight, float eps,
                              const RopeTable& rope, RopeLayout) {
    ops.rms_norm_rope(x, weight, eps, rope, RopeLayout::pairs);
  };
}

// Query head h looks at key head h mod Hkv instead of h Hkv / H.
void tile_key_heads(Setup& s) {
  s.faults.attention = [](Ops& ops, const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionMask& mask, const Tensor& out) {
    for (std::int64_t h = 0; h < q.dim(2); ++h) {
      const std::int64_t key_head = h % k.dim(2);
      ops.attention(q.slice(2, h, 1), k.slice(2, key_head, 1), v.slice(2, key_head, 1), mask,
                    out.slice(2, h, 1));
    }
  };
}

void see_the_future(Setup& s) {
  s.faults.attention = [](Ops& ops, const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionMask& mask, const Tensor& out) {
    AttentionMask full = mask;
    full.causality = Causality::full;
    ops.attention(q, k, v, full, out);
  };
}

}  // namespace

std::vector<Mutation> text_mutations() {
  return {
      spoiled("tap layers 10, 19, 28", "tiny-klein",
              [](Setup& s) {
                s.taps = {10, 19, 28};
              }),
      spoiled("tap layers 9, 19, 29", "tiny-dev",
              [](Setup& s) {
                s.taps = {9, 19, 29};
              }),
      spoiled("tap order reversed", "tiny-klein-base",
              [](Setup& s) {
                s.taps = {27, 18, 9};
              }),
      spoiled("padding mask ignored on the right", "tiny-klein",
              [](Setup& s) { s.whole_text_is_real = true; }),
      spoiled("padding mask ignored on the left", "tiny-dev",
              [](Setup& s) { s.whole_text_is_real = true; }),
      spoiled("text rope in pairs", "tiny-klein", rotate_pairs),
      spoiled("text rope in pairs (dev)", "tiny-dev", rotate_pairs),
      spoiled("key heads tiled", "tiny-klein", tile_key_heads),
      spoiled("key heads tiled (dev)", "tiny-dev", tile_key_heads),
      spoiled("text attention not causal", "tiny-klein", see_the_future),
  };
}

}  // namespace flux2::mutations
