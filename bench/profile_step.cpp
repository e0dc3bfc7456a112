// Where the time of a stage goes: every operation of FLUX.2's text encoder, transformer step, VAE
// decoding, or of one more token that the language model writes (decode, behind 512 others), told
// apart by its shapes, with GFLOP/s and GB/s to hold against `peak`.
//
//   profile_step MODEL [text|transformer|vae|decode] [SIDE] [f32|bf16|int8] [RUNS] [ISA]
//
// ISA, avx2 | avx512 | avx512-vnni | avx512-bf16 | avx512-amx, is the most of the processor that is
// used.
//
// MODEL is a folder in Diffusers layout; tools/make_random_model.py writes one.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/cpu/cpu_ops.h"
#include "base/parallel.h"
#include "diffusion/positions.h"
#include "flux2/error.h"
#include "models/autoencoder/autoencoder.h"
#include "models/flux2/transformer.h"
#include "models/language/language_model.h"
#include "ops/observed_ops.h"
#include "pipeline/model_folder.h"

namespace flux2 {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kTextTokens = 512;
constexpr std::int64_t kRealTokens = 24;  // a usual prompt in its template; the rest is padding

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Row {
  std::string name;
  std::int64_t calls = 0;
  double seconds = 0;
  double flops = 0;
  double bytes = 0;
};

// TimingOps, but a row for each combination of shapes.
class ShapedTimings final : public ObservedOps {
 public:
  explicit ShapedTimings(Ops& inner) : ObservedOps(inner) {}

  void clear() { rows_.clear(); }

  std::vector<Row> slowest_first() const {
    std::vector<Row> rows;
    for (const auto& [name, row] : rows_)
      rows.push_back(row);
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
    return rows;
  }

 private:
  void observe(const OpCall& call, const std::function<void()>& run) override {
    const auto begin = Clock::now();
    run();
    const double seconds = seconds_since(begin);
    const std::string from = call.inputs.empty() ? "" : call.inputs.front().shape().to_string();
    const std::string to = call.outputs.empty() ? "" : call.outputs.front().shape().to_string();
    const std::string name = fmt::format("{} {} -> {}", call.name, from, to);
    Row& row = rows_[name];
    row.name = name;
    ++row.calls;
    row.seconds += seconds;
    row.flops += call.flops;
    row.bytes += call.bytes;
  }

  std::map<std::string, Row> rows_;
};

Tensor noise(const Shape& shape) {
  const Tensor tensor = make_host_tensor(shape);
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    state = state * 1664525u + 1013904223u;
    tensor.f32()[i] = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  }
  return tensor;
}

// Runs once to warm up, then `runs` times, and prints a table of one run.
template <typename Run>
void profile(ShapedTimings& ops, int runs, Run run) {
  run();
  ops.clear();
  const auto begin = Clock::now();
  for (int i = 0; i < runs; ++i)
    run();
  const double total = seconds_since(begin) / runs;
  double measured = 0, flops = 0;
  fmt::print("{:>9} {:>6} {:>6} {:>9} {:>7}  operation\n", "ms", "share", "calls", "GFLOP/s",
             "GB/s");
  for (const Row& row : ops.slowest_first()) {
    fmt::print("{:9.2f} {:5.1f}% {:6} {:9.1f} {:7.1f}  {}\n", 1e3 * row.seconds / runs,
               100 * row.seconds / runs / total, row.calls / runs, 1e-9 * row.flops / row.seconds,
               1e-9 * row.bytes / row.seconds, row.name);
    measured += row.seconds / runs;
    flops += row.flops / runs;
  }
  fmt::print("{:9.2f} {:5.1f}% {:6} {:9.1f} {:7}  all operations\n", 1e3 * measured,
             100 * measured / total, "", 1e-9 * flops / measured, "");
  fmt::print("{:9.2f} one run, of {}\n", 1e3 * total, runs);
}

struct Work {
  const ModelFolder& model;
  ShapedTimings& ops;
  std::int64_t side;  // pixels
  int runs;
};

void profile_text(const Work& work) {
  const std::int64_t width = work.model.transformer.text_dim;
  const auto& taps = work.model.traits->text_layers;
  const DecoderUse use = {.taps = {taps.begin(), taps.end()}};
  const auto model = load_language_model(work.model.path / "text_encoder", use, work.ops);
  const TokenBatch batch = {.ids = std::vector<std::int32_t>(kTextTokens, 100),
                            .real = {{0, kRealTokens}},
                            .length = kTextTokens};
  fmt::print("text encoder: {} tokens to {} columns\n", kTextTokens, width);
  profile(work.ops, work.runs, [&] { model->decoder().hidden_states(work.ops, batch, use.taps); });
}

void profile_transformer(const Work& work) {
  const Checkpoint weights = work.model.weights_of("transformer");
  const Transformer model = Transformer::load(weights, work.model.transformer, work.ops);
  const TokenGrid grid = {.rows = work.side / 16, .columns = work.side / 16};
  const std::vector<Position> text = text_positions(kTextTokens);
  const std::vector<Position> picture = latent_positions(grid);
  const Tensor embeddings = noise({1, kTextTokens, work.model.transformer.text_dim});
  Conditioning conditioning =
      model.condition(work.ops, {.text = work.ops.upload(embeddings, Role::operand),
                                 .text_positions = text,
                                 .latent_positions = picture});
  const Tensor latents =
      work.ops.upload(noise({1, grid.tokens(), work.model.transformer.in_channels}), Role::operand);
  const std::vector<float> timestep = {0.75f}, guidance = {4.0f};
  fmt::print("transformer: {} + {} tokens\n", kTextTokens, grid.tokens());
  profile(work.ops, work.runs,
          [&] { model.velocity(work.ops, conditioning, latents, timestep, guidance); });
}

void profile_vae(const Work& work) {
  const Autoencoder vae = Autoencoder::load(work.model.weights_of("vae"), work.model.vae, work.ops,
                                            CoderSides::decoder);
  const Tensor latents = noise({1, work.side / 8, work.side / 8, work.model.vae.latent_channels});
  fmt::print("VAE decoder: {0} x {0} pixels\n", work.side);
  profile(work.ops, work.runs, [&] { vae.decode(work.ops, latents); });
}

void profile_decoding(const Work& work) {
  const DecoderUse use = {.taps = {}, .generation = DecoderUse::Generation::yes};
  const auto model =
      load_language_model(work.model.places.parts.at(PartKind::text_encoder), use, work.ops);
  const Decoder& decoder = model->decoder();
  const std::vector<std::int32_t> prompt(kTextTokens, 100), token(1, 100);
  KvCache cache = decoder.make_cache(work.ops, kTextTokens + work.runs + 1);
  decoder.advance(work.ops, cache, decoder.embed(work.ops, prompt));
  fmt::print("language model: one token behind {}, {} layers\n", kTextTokens,
             decoder.loaded_layers());
  profile(work.ops, work.runs, [&] {
    const Tensor x = decoder.advance(work.ops, cache, decoder.embed(work.ops, token));
    work.ops.download(decoder.logits(work.ops, decoder.final_norm(work.ops, x)));
  });
}

int number(std::string_view text, std::string_view what) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw Error(ErrorCode::invalid_request, "is not a positive number: " + std::string(text),
                std::string(what));
  }
  return value;
}

void run(std::vector<std::string> arguments) {
  const std::vector<std::string> defaults = {
      "", "transformer", "256", "bf16", "3", std::string(name_of(best_isa()))};
  if (arguments.empty() || arguments.size() > defaults.size()) {
    throw Error(
        ErrorCode::invalid_request,
        "profile_step MODEL [text|transformer|vae|decode] [SIDE] [f32|bf16|int8] [RUNS] [ISA]",
        "usage");
  }
  for (std::size_t i = arguments.size(); i < defaults.size(); ++i)
    arguments.push_back(defaults[i]);
  const std::map<std::string, void (*)(const Work&)> stages = {{"text", profile_text},
                                                               {"transformer", profile_transformer},
                                                               {"vae", profile_vae},
                                                               {"decode", profile_decoding}};
  const auto stage = stages.find(arguments[1]);
  if (stage == stages.end()) {
    throw Error(ErrorCode::invalid_request, "is not a stage: " + arguments[1], "STAGE",
                "text, transformer, vae or decode");
  }
  const std::map<std::string, ComputeType> types = {
      {"f32", ComputeType::f32}, {"bf16", ComputeType::bf16}, {"int8", ComputeType::int8}};
  const auto compute = types.find(arguments[3]);
  if (compute == types.end()) {
    throw Error(ErrorCode::invalid_request, "is not a compute type: " + arguments[3], "TYPE",
                "f32, bf16 or int8");
  }
  set_thread_count(available_cores());
  const std::optional<Isa> isa = isa_named(arguments[5]);
  if (!isa) {
    throw Error(ErrorCode::invalid_request, "is not an instruction set: " + arguments[5], "ISA",
                "avx2, avx512, avx512-vnni, avx512-bf16 or avx512-amx");
  }
  limit_process_isa(*isa);
  const auto cpu = make_cpu_ops({.compute = compute->second, .most = isa});
  ShapedTimings ops(*cpu);
  const ModelFolder model = ModelFolder::open(arguments[0]);
  fmt::print("{}, {} threads\n", ops.name(), thread_count());
  stage->second({.model = model,
                 .ops = ops,
                 .side = number(arguments[2], "SIDE"),
                 .runs = number(arguments[4], "RUNS")});
}

}  // namespace
}  // namespace flux2

int main(int argc, char** argv) {
  try {
    flux2::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "profile_step: {}\n", error.what());
    return 1;
  }
  return 0;
}
