#include "backends/cpu/cpu_ops.h"
#include "faulty_ops.h"
#include "mutation.h"
#include "vae_golden.h"

namespace flux2::mutations {
namespace {

using namespace golden;  // NOLINT(google-build-using-namespace): the goldens' vocabulary

enum class Direction { encode, decode };

struct Setup {
  FaultyOps::Faults faults;
  Tiling tiling = {.sample_size = 64, .latent_size = 8, .overlap = 0.25};
};

double error_of(const Setup& setup, Direction direction) {
  const std::unique_ptr<Ops> backend = make_cpu_ops({.compute = ComputeType::f32, .most = {}});
  FaultyOps ops(*backend, setup.faults);
  const Autoencoder vae = load_vae("tiny-klein", ops);
  const GoldenFile file("vae/tiny-klein.safetensors");
  const auto golden = [&](const char* name) { return channels_last(file.tensor(name)); };
  return direction == Direction::encode
             ? relative_error(vae.encode(ops, golden("small.image")), golden("small.moments"))
             : relative_error(vae.decode(ops, golden("small.z")), golden("small.decoded_z"));
}

Mutation spoiled(const std::string& fault, Direction direction,
                 std::function<void(FaultyOps::Faults&)> spoil) {
  return {fault,
          direction == Direction::encode ? "vae/tiny-klein small.moments"
                                         : "vae/tiny-klein small.decoded_z",
          [=] {
            Setup setup;
            spoil(setup.faults);
            return error_of(setup, direction);
          }};
}

void group_norm_eps(FaultyOps::Faults& faults) {
  faults.group_norm = [](Ops& ops, const Tensor& x, const GroupNorm& norm, Activation activation,
                         const Tensor& out) {
    GroupNorm other = norm;
    other.eps = 1e-4f;
    ops.group_norm(x, other, activation, out);
  };
}

Mutation tile_overlap() {
  return {"tiles overlap by an eighth", "vae/tiled decoded", [] {
            const std::unique_ptr<Ops> ops =
                make_cpu_ops({.compute = ComputeType::f32, .most = {}});
            const Autoencoder vae = load_vae("tiny-klein", *ops);
            const GoldenFile file("vae/tiled.safetensors");
            const Tiling tiling = {.sample_size = 64, .latent_size = 8, .overlap = 0.125};
            return relative_error(vae.decode(*ops, channels_last(file.tensor("z")), tiling),
                                  channels_last(file.tensor("decoded")));
          }};
}

// What normalisation makes of the golden latents.
Mutation normalisation(const std::string& fault, float eps, bool phase_first) {
  return {fault, "vae/tiny-klein small.normalised", [=] {
            const std::unique_ptr<Ops> ops =
                make_cpu_ops({.compute = ComputeType::f32, .most = {}});
            const Autoencoder vae = load_vae("tiny-klein", *ops);
            const GoldenFile file("vae/tiny-klein.safetensors");
            const LatentStatistics right = statistics_of(vae);
            std::vector<float> variance(right.deviation().begin(), right.deviation().end());
            for (float& v : variance)
              v = v * v - vae.config().batch_norm_eps;
            Tensor tokens = patchify_to_tokens(channels_last(file.tensor("small.mode")));
            if (phase_first) {  // (row, column, channel) instead of (channel, row, column)
              const std::vector<float> before = to_vector(tokens);
              const std::size_t channels = variance.size() / 4;
              for (std::size_t i = 0; i < before.size(); ++i) {
                const std::size_t token = i / variance.size();
                const std::size_t place = i % variance.size();
                tokens.f32()[i] =
                    before[token * variance.size() + (place % channels) * 4 + place / channels];
              }
            }
            LatentStatistics(right.mean(), variance, eps).normalise(tokens);
            return relative_error(tokens, pack(file.tensor("small.normalised")));
          }};
}

}  // namespace

std::vector<Mutation> vae_mutations() {
  return {
      spoiled("group norm eps 1e-4, encoder", Direction::encode, group_norm_eps),
      spoiled("group norm eps 1e-4, decoder", Direction::decode, group_norm_eps),
      spoiled("silu after group norm left out", Direction::decode,
              [](FaultyOps::Faults& faults) {
                faults.group_norm = [](Ops& ops, const Tensor& x, const GroupNorm& norm, Activation,
                                       const Tensor& out) {
                  ops.group_norm(x, norm, Activation::none, out);
                };
              }),
      spoiled("downsample padded at the start", Direction::encode,
              [](FaultyOps::Faults& faults) {
                faults.conv2d = [](Ops& ops, const Tensor& x, const Weight& weight,
                                   const ConvGeometry& geometry, const Tensor& out) {
                  const bool halving = geometry.stride == 2;
                  ops.conv2d(x, weight, halving ? ConvGeometry{2, 1, 1, 0, 0} : geometry, out);
                };
              }),
      spoiled("upsample: every second pixel black", Direction::decode,
              [](FaultyOps::Faults& faults) {
                faults.upsample_nearest = [](Ops& ops, const Tensor& x, const Tensor& out) {
                  ops.upsample_nearest(x, out);
                  const Tensor rows = out.view({x.dim(0), x.dim(1), 2, out.dim(2) * x.dim(3)});
                  const Tensor odd = rows.slice(2, 1, 1);
                  const Tensor zeros = make_host_tensor(odd.shape());
                  std::fill_n(zeros.f32(), zeros.elements(), 0.0f);
                  ops.copy(ops.upload(zeros, Role::stream), odd);
                };
              }),
      tile_overlap(),
      normalisation("batch norm eps 1e-5", 1e-5f, false),
      normalisation("patch order (row, column, channel)", 1e-4f, true),
  };
}

}  // namespace flux2::mutations
