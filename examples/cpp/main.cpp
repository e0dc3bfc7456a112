// draw PROMPT [FILE.png] [MODEL]: draws a picture, says how far it is, keeps the request inside it.
#include <flux2/flux2.h>

#include <cmath>
#include <cstdio>
#include <string>

namespace {

// Called often from generate: one line for all of a stage, written over itself.
void show_progress(const flux2::Progress& progress) {
  if (progress.total == 0) return;
  const bool finished = progress.done == progress.total;
  std::fprintf(stderr, "\r%-16s %3lld %%%s", flux2::to_string(progress.stage).c_str(),
               static_cast<long long>(100 * progress.done / progress.total), finished ? "\n" : "");
}

// Called after each step. What it changes in `state` is what the next step starts from.
void look_at_step(flux2::StepState& state) {
  double squares = 0;
  for (const float value : state.latents.values)
    squares += static_cast<double>(value) * static_cast<double>(value);
  const double count = static_cast<double>(state.latents.values.size());
  std::fprintf(stderr, "  step %d, timestep %.0f: latents of size %.3f\n", state.step,
               state.timestep, std::sqrt(squares / count));
}

void draw(const std::string& prompt, const std::string& file, const std::string& model) {
  const flux2::Pipeline pipeline = flux2::Pipeline::load(model);
  std::fprintf(stderr, "%s on %s\n", pipeline.info().name.c_str(), pipeline.backend().c_str());

  flux2::Request request;
  request.prompt = {prompt};
  request.num_inference_steps = 8;
  request.seeds = {42};
  const flux2::Result result =
      pipeline.generate(request, {.progress = show_progress, .callback_on_step_end = look_at_step});

  flux2::save_image(result.images[0], file, flux2::describe(result, pipeline.info(), 0));
  std::printf("%s\n", file.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: draw PROMPT [FILE.png] [MODEL]  (flux2 %s)\n", flux2::version());
    return 2;
  }
  try {
    draw(argv[1], argc > 2 ? argv[2] : "draw.png", argc > 3 ? argv[3] : "nano");
  } catch (const flux2::Error& error) {
    std::fprintf(stderr, "\ndraw: %s\n", error.what());
    return 1;
  }
  return 0;
}
