#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "conversation.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

Pipeline load(const std::string& model, const PipelineOptions& options) {
  const nb::gil_scoped_release unlocked;
  return Pipeline::load(model, options);
}

// `progress` and `callback_on_step_end` are functions of one argument, or None.
Result generate(const Pipeline& pipeline, const Request& request, const nb::object& progress,
                const nb::object& callback_on_step_end, bool latents_only) {
  Conversation conversation;
  RunOptions options;
  options.stop = conversation.stop_token();
  if (latents_only) options.output = Output::latents;
  if (!progress.is_none()) {
    options.progress = [&](const Progress& made) { conversation.ask([&] { progress(made); }); };
  }
  if (!callback_on_step_end.is_none()) {
    options.callback_on_step_end = [&](StepState& state) {
      conversation.ask([&] { callback_on_step_end(nb::cast(&state, nb::rv_policy::reference)); });
    };
  }
  Result result;
  conversation.run([&] { result = pipeline.generate(request, options); });
  return result;
}

void bind_model(nb::module_& module) {
  nb::enum_<Family>(module, "Family")
      .value("dev", Family::dev)
      .value("klein", Family::klein)
      .value("klein_base", Family::klein_base)
      .value("klein_kv", Family::klein_kv);
  nb::class_<ModelDefaults>(module, "ModelDefaults")
      .def_ro("width", &ModelDefaults::width)
      .def_ro("height", &ModelDefaults::height)
      .def_ro("num_inference_steps", &ModelDefaults::num_inference_steps)
      .def_ro("guidance_scale", &ModelDefaults::guidance_scale)
      .def_ro("max_sequence_length", &ModelDefaults::max_sequence_length);
  nb::class_<ModelInfo>(module, "ModelInfo")
      .def_ro("name", &ModelInfo::name)
      .def_ro("path", &ModelInfo::path)
      .def_ro("family", &ModelInfo::family)
      .def_ro("pipeline_class", &ModelInfo::pipeline_class)
      .def_ro("defaults", &ModelInfo::defaults);
  module.def("inspect_model", nb::overload_cast<const std::filesystem::path&>(&inspect_model),
             nb::arg("folder"));
  module.def("find_model", &find_model, nb::arg("model"));
}

void bind_run(nb::module_& module) {
  nb::enum_<Stage>(module, "Stage")
      .value("load_text", Stage::load_text)
      .value("upsample", Stage::upsample)
      .value("encode_text", Stage::encode_text)
      .value("load_transformer", Stage::load_transformer)
      .value("load_vae", Stage::load_vae)
      .value("encode_images", Stage::encode_images)
      .value("denoise", Stage::denoise)
      .value("decode", Stage::decode);
  nb::class_<Progress>(module, "Progress", "How far a call is.")
      .def_ro("stage", &Progress::stage)
      .def_ro("done", &Progress::done)
      .def_ro("total", &Progress::total)
      .def_ro("seconds", &Progress::seconds);
  nb::class_<StepState>(module, "StepState", "What a step left behind; lives during the callback.")
      .def_ro("step", &StepState::step)
      .def_ro("timestep", &StepState::timestep)
      .def_rw("latents", &StepState::latents)
      .def_rw("prompt_embeds", &StepState::prompt_embeds);
  nb::class_<StageTime>(module, "StageTime")
      .def_ro("stage", &StageTime::stage)
      .def_ro("seconds", &StageTime::seconds);
  nb::class_<Result>(module, "Result", "What a call made.")
      .def_ro("images", &Result::images, nb::rv_policy::reference_internal)
      .def_ro("latents", &Result::latents)
      .def_ro("prompt_embeds", &Result::prompt_embeds)
      .def_ro("rewritten_prompts", &Result::rewritten_prompts)
      .def_ro("request", &Result::request)
      .def_ro("times", &Result::times)
      .def_ro("step_seconds", &Result::step_seconds)
      .def_ro("peak_memory_bytes", &Result::peak_memory_bytes)
      .def_ro("warnings", &Result::warnings);
}

}  // namespace

void bind_pipeline(nb::module_& module) {
  bind_model(module);
  bind_run(module);
  nb::enum_<Compute>(module, "Compute")
      .value("automatic", Compute::automatic)
      .value("f32", Compute::f32)
      .value("bf16", Compute::bf16)
      .value("int8", Compute::int8);
  nb::enum_<Device>(module, "Device")
      .value("automatic", Device::automatic)
      .value("cpu", Device::cpu)
      .value("cuda", Device::cuda);
  using Residency = PipelineOptions::Residency;
  nb::enum_<Residency>(module, "Residency")
      .value("automatic", Residency::automatic)
      .value("keep", Residency::keep)
      .value("release", Residency::release);
  nb::class_<PipelineOptions>(module, "PipelineOptions", "How a model is loaded.")
      .def(nb::init<>())
      .def_rw("compute", &PipelineOptions::compute)
      .def_rw("device", &PipelineOptions::device)
      .def_rw("threads", &PipelineOptions::threads)
      .def_rw("residency", &PipelineOptions::residency);
  nb::class_<Pipeline>(module, "Pipeline", "A FLUX.2 model, ready to draw.")
      .def_static("load", &load, nb::arg("model"), nb::arg("options") = PipelineOptions())
      .def_prop_ro("info", &Pipeline::info, nb::rv_policy::reference_internal)
      .def_prop_ro("compute", &Pipeline::compute)
      .def_prop_ro("threads", &Pipeline::threads)
      .def_prop_ro("backend", &Pipeline::backend)
      .def("generate", &generate, nb::arg("request"), nb::arg("progress") = nb::none(),
           nb::arg("callback_on_step_end") = nb::none(), nb::arg("latents_only") = false,
           "Draws; other Python threads run meanwhile.");
}

}  // namespace flux2::python
