// How fast weights become ready to multiply with: loads the text encoder, then the transformer in
// its place, then the VAE's decoder, as a call does, and prints seconds, GB/s of stored bytes and
// the process's anonymous memory.
//
//   profile_load MODEL [f32|bf16] [TAPPED_LAYER]
//
// MODEL is a folder in Diffusers layout; tools/make_random_model.py writes one. TAPPED_LAYER:
// layers of the text encoder that are read, where it has fewer than the family needs.

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "flux2/error.h"
#include "pipeline/backend.h"
#include "pipeline/model_folder.h"
#include "pipeline/monitor.h"
#include "pipeline/parts.h"

namespace flux2 {
namespace {

using Clock = std::chrono::steady_clock;

// Anonymous memory of this process, in GB.
double anonymous_memory() {
  std::ifstream status("/proc/self/status");
  const std::string key = "RssAnon:";
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    double kilobytes = 0;
    rest >> kilobytes;
    return kilobytes * 1024e-9;
  }
  return 0;
}

// Runs `load` and prints what it took.
template <typename Load>
void measure(const char* part, const std::int64_t& bytes, Load load) {
  const auto begin = Clock::now();
  load();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double size = 1e-9 * static_cast<double>(bytes);
  fmt::print(
      "{:12} {:6.2f} GB in {:6.3f} s: {:6.2f} GB/s, {:5.2f} s/GB; anonymous memory {:.2f} GB\n",
      part, size, seconds, size / seconds, seconds / size, anonymous_memory());
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.size() > 3) {
    throw Error(ErrorCode::invalid_request, "profile_load MODEL [f32|bf16] [TAPPED_LAYER]",
                "usage");
  }
  const bool bf16 = arguments.size() < 2 || arguments[1] == "bf16";
  Backend backend = make_backend({.compute = bf16 ? Compute::bf16 : Compute::f32});
  set_thread_count(backend.threads);
  const ModelFolder model = ModelFolder::open(arguments[0]);
  std::int64_t bytes = 0;
  RunOptions options;
  options.progress = [&](const Progress& progress) { bytes = progress.total; };
  Monitor monitor(options);
  Parts parts(model, backend, PipelineOptions::Residency::release);

  DecoderUse use;
  for (const int layer : model.traits->text_layers)
    use.taps.push_back(layer);
  if (arguments.size() > 2) use.taps = {std::atoi(arguments[2].c_str())};
  fmt::print("{}, {} threads\n", backend.ops->name(), thread_count());
  measure("text encoder", bytes, [&] { parts.text_encoder(use, *backend.ops, monitor); });
  measure("transformer", bytes, [&] { parts.transformer(*backend.ops, monitor); });
  measure("VAE", bytes, [&] { parts.autoencoder(CoderSides::decoder, *backend.ops, monitor); });
}

}  // namespace
}  // namespace flux2

int main(int argc, char** argv) {
  try {
    flux2::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "profile_load: {}\n", error.what());
    return 1;
  }
  return 0;
}
