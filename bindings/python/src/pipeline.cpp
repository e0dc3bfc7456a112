#include <nanobind/stl/array.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "conversation.h"
#include "run.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

Pipeline load(const ModelSource& source, const PipelineOptions& options) {
  const nb::gil_scoped_release unlocked;
  return Pipeline::load(source, options);
}

// Runs `work(options)` while other threads of Python go on, and returns what it returns.
template <typename Work>
auto converse(const Run& run, const Work& work) {
  Conversation conversation;
  const RunOptions options = run_options(run, conversation);
  decltype(work(options)) made;
  conversation.run([&] { made = work(options); });
  return made;
}

Result generate(const Pipeline& pipeline, Request request, const Run& run) {
  Conversation conversation;
  const RunOptions options = run_options(run, conversation);
  request.noise_source = noise_function(run, conversation);
  Result result;
  conversation.run([&] { result = pipeline.generate(request, options); });
  result.request.noise_source = nullptr;  // it speaks through this conversation
  return result;
}

LatentDistribution encode_image(const Pipeline& pipeline, const FloatArray& pixels,
                                const Run& run) {
  return converse(
      run, [&](const RunOptions& options) { return pipeline.encode_image(pixels, options); });
}

FloatArray decode_latents(const Pipeline& pipeline, const FloatArray& latents, const Run& run) {
  return converse(
      run, [&](const RunOptions& options) { return pipeline.decode_latents(latents, options); });
}

FloatArray predict_velocity(const Pipeline& pipeline, const VelocityInputs& inputs,
                            const Run& run) {
  return converse(
      run, [&](const RunOptions& options) { return pipeline.predict_velocity(inputs, options); });
}

void bind_options(nb::module_& module) {
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
  nb::class_<PromptCacheOptions>(module, "PromptCacheOptions", "Where prompt embeddings are kept.")
      .def(nb::init<>())
      .def_rw("folder", &PromptCacheOptions::folder)
      .def_rw("max_bytes", &PromptCacheOptions::max_bytes);
  nb::class_<PipelineOptions>(module, "PipelineOptions", "How a model is loaded.")
      .def(nb::init<>())
      .def_rw("compute", &PipelineOptions::compute)
      .def_rw("device", &PipelineOptions::device)
      .def_rw("threads", &PipelineOptions::threads)
      .def_rw("residency", &PipelineOptions::residency)
      .def_rw("prompt_cache", &PipelineOptions::prompt_cache, nb::arg().none());
}

void bind_part_calls(nb::module_& module) {
  nb::class_<LatentDistribution>(module, "LatentDistribution", "What the VAE encodes a picture to.")
      .def_ro("mean", &LatentDistribution::mean)
      .def_ro("log_variance", &LatentDistribution::log_variance);
  nb::class_<VelocityInputs>(module, "VelocityInputs", "What the transformer is given.")
      .def(nb::init<>())
      .def_rw("hidden_states", &VelocityInputs::hidden_states)
      .def_rw("encoder_hidden_states", &VelocityInputs::encoder_hidden_states)
      .def_rw("timestep", &VelocityInputs::timestep)
      .def_rw("img_ids", &VelocityInputs::img_ids)
      .def_rw("txt_ids", &VelocityInputs::txt_ids)
      .def_rw("guidance", &VelocityInputs::guidance)
      .def_rw("attention_mask", &VelocityInputs::attention_mask, nb::arg().none())
      .def_rw("adapters", &VelocityInputs::adapters)
      .def_rw("adapter_scale", &VelocityInputs::adapter_scale);
}

}  // namespace

void bind_pipeline(nb::module_& module) {
  bind_options(module);
  bind_part_calls(module);
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  nb::class_<Pipeline>(module, "Pipeline", "A FLUX.2 model. Other Python threads run meanwhile.")
      .def_static("load", &load, nb::arg("source"), nb::arg("options") = PipelineOptions())
      .def_prop_ro("info", &Pipeline::info, nb::rv_policy::reference_internal)
      .def_prop_ro("compute", &Pipeline::compute)
      .def_prop_ro("threads", &Pipeline::threads)
      .def_prop_ro("backend", &Pipeline::backend)
      .def("generate", &generate, nb::arg("request"), nb::arg("run"))
      .def("encode_image", &encode_image, nb::arg("pixels"), nb::arg("run"))
      .def("decode_latents", &decode_latents, nb::arg("latents"), nb::arg("run"))
      .def("predict_velocity", &predict_velocity, nb::arg("inputs"), nb::arg("run"))
      .def("pack_latents", &Pipeline::pack_latents, nb::arg("latents"), unlocked)
      .def("unpack_latents", &Pipeline::unpack_latents, nb::arg("tokens"), nb::arg("height"),
           nb::arg("width"), unlocked)
      .def("inspect_adapter", &Pipeline::inspect_adapter, nb::arg("adapter"), unlocked);
}

}  // namespace flux2::python
