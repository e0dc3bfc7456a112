#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

void bind_info(nb::module_& module) {
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
  nb::class_<ModelPart>(module, "ModelPart", "One part of a model on disk.")
      .def_ro("name", &ModelPart::name)
      .def_ro("class_name", &ModelPart::class_name)
      .def_ro("path", &ModelPart::path)
      .def_ro("names", &ModelPart::names)
      .def_ro("sizes_from", &ModelPart::sizes_from)
      .def_ro("parameters", &ModelPart::parameters)
      .def_ro("bytes", &ModelPart::bytes)
      .def_ro("dtypes", &ModelPart::dtypes)
      .def_ro("computed_as", &ModelPart::computed_as);
  nb::class_<ModelInfo>(module, "ModelInfo", "What a model holds and what it was taken for.")
      .def_ro("name", &ModelInfo::name)
      .def_ro("path", &ModelInfo::path)
      .def_ro("family", &ModelInfo::family)
      .def_ro("family_from", &ModelInfo::family_from)
      .def_ro("pipeline_class", &ModelInfo::pipeline_class)
      .def_ro("defaults", &ModelInfo::defaults)
      .def_ro("parts", &ModelInfo::parts);
}

}  // namespace

void bind_model(nb::module_& module) {
  bind_info(module);
  nb::class_<ModelSource>(module, "ModelSource", "Where a model is, or where its parts are.")
      .def(nb::init<>())
      .def_rw("model", &ModelSource::model)
      .def_rw("transformer", &ModelSource::transformer)
      .def_rw("text_encoder", &ModelSource::text_encoder)
      .def_rw("vae", &ModelSource::vae)
      .def_rw("tokenizer", &ModelSource::tokenizer)
      .def_rw("variant", &ModelSource::variant, nb::arg().none());
  module.def("inspect_model", nb::overload_cast<const ModelSource&>(&inspect_model),
             nb::arg("source"));
}

}  // namespace flux2::python
