#include "run.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

void bind_stages(nb::module_& module) {
  nb::enum_<Stage>(module, "Stage")
      .value("load_text", Stage::load_text)
      .value("upsample", Stage::upsample)
      .value("encode_text", Stage::encode_text)
      .value("load_transformer", Stage::load_transformer)
      .value("load_vae", Stage::load_vae)
      .value("encode_images", Stage::encode_images)
      .value("denoise", Stage::denoise)
      .value("decode", Stage::decode);
  nb::enum_<Output>(module, "Output", "How far a call goes.")
      .value("prompt_embeds", Output::prompt_embeds)
      .value("latents", Output::latents)
      .value("pixels", Output::pixels)
      .value("images", Output::images);
  nb::enum_<VaeTiling>(module, "VaeTiling")
      .value("automatic", VaeTiling::automatic)
      .value("on", VaeTiling::on)
      .value("off", VaeTiling::off);
}

void bind_listening(nb::module_& module) {
  nb::class_<Progress>(module, "Progress", "How far a call is.")
      .def_ro("stage", &Progress::stage)
      .def_ro("done", &Progress::done)
      .def_ro("total", &Progress::total)
      .def_ro("seconds", &Progress::seconds);
  nb::class_<StepState>(module, "StepState", "What a step left behind; lives during the callback.")
      .def_ro("step", &StepState::step)
      .def_ro("timestep", &StepState::timestep)
      .def_rw("latents", &StepState::latents)
      .def_rw("prompt_embeds", &StepState::prompt_embeds)
      .def_rw("interrupt", &StepState::interrupt);
  nb::class_<Preview>(module, "Preview", "The clean pictures as a step estimates them, small.")
      .def_ro("step", &Preview::step)
      .def_ro("images", &Preview::images);
  nb::class_<Run>(module, "Run", "How a call runs, and who hears of it.")
      .def(nb::init<>())
      .def_rw("output", &Run::output)
      .def_rw("vae_tiling", &Run::vae_tiling)
      .def_rw("progress", &Run::progress, nb::arg().none())
      .def_rw("callback_on_step_end", &Run::callback_on_step_end, nb::arg().none())
      .def_rw("preview", &Run::preview, nb::arg().none())
      .def_rw("noise", &Run::noise, nb::arg().none());
}

void bind_result(nb::module_& module) {
  nb::class_<StageTime>(module, "StageTime")
      .def_ro("stage", &StageTime::stage)
      .def_ro("seconds", &StageTime::seconds);
  nb::class_<Result>(module, "Result", "What a call made.")
      .def_ro("images", &Result::images, nb::rv_policy::reference_internal)
      .def_ro("pixels", &Result::pixels)
      .def_ro("latents", &Result::latents)
      .def_ro("prompt_embeds", &Result::prompt_embeds)
      .def_ro("rewritten_prompts", &Result::rewritten_prompts)
      .def_ro("request", &Result::request)
      .def_ro("adapters", &Result::adapters)
      .def_ro("cached_prompts", &Result::cached_prompts)
      .def_ro("times", &Result::times)
      .def_ro("step_seconds", &Result::step_seconds)
      .def_ro("peak_memory_bytes", &Result::peak_memory_bytes)
      .def_ro("warnings", &Result::warnings);
}

// A function of the library's that tells `listener` what it was told.
template <typename Value>
auto told(const nb::object& listener, Conversation& conversation) {
  return [&listener, &conversation](Value& value) {
    conversation.ask([&] { listener(nb::cast(&value, nb::rv_policy::reference)); });
  };
}

}  // namespace

RunOptions run_options(const Run& run, Conversation& conversation) {
  RunOptions options;
  options.stop = conversation.stop_token();
  options.output = run.output;
  options.vae_tiling = run.vae_tiling;
  if (!run.progress.is_none()) {
    options.progress = [&](const Progress& made) { conversation.ask([&] { run.progress(made); }); };
  }
  if (!run.callback_on_step_end.is_none())
    options.callback_on_step_end = told<StepState>(run.callback_on_step_end, conversation);
  if (!run.preview.is_none()) options.preview = told<const Preview>(run.preview, conversation);
  return options;
}

NoiseFunction noise_function(const Run& run, Conversation& conversation) {
  if (run.noise.is_none()) return {};
  return [&](const std::vector<std::int64_t>& shape) {
    FloatArray drawn;
    conversation.ask([&] { drawn = array_of(nb::cast<FloatsIn>(run.noise(shape))); });
    return drawn;
  };
}

void bind_run(nb::module_& module) {
  bind_stages(module);
  bind_listening(module);
  bind_result(module);
}

}  // namespace flux2::python
