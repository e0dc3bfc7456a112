#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

void bind_inpaint(nb::module_& module) {
  nb::class_<Margins>(module, "Margins", "Pixels on each side of a picture.")
      .def(nb::init<int, int, int, int>(), nb::arg("left"), nb::arg("top"), nb::arg("right"),
           nb::arg("bottom"))
      .def_rw("left", &Margins::left)
      .def_rw("top", &Margins::top)
      .def_rw("right", &Margins::right)
      .def_rw("bottom", &Margins::bottom);
  nb::class_<Inpaint>(module, "Inpaint", "A picture to paint over.")
      .def(nb::init<>())
      .def_rw("image", &Inpaint::image)
      .def_rw("image_latents", &Inpaint::image_latents, nb::arg().none())
      .def_rw("mask_image", &Inpaint::mask_image, nb::arg().none())
      .def_rw("strength", &Inpaint::strength, nb::arg().none())
      .def_rw("padding_mask_crop", &Inpaint::padding_mask_crop, nb::arg().none())
      .def_rw("keep_unmasked", &Inpaint::keep_unmasked)
      .def_rw("outpaint", &Inpaint::outpaint, nb::arg().none());
}

}  // namespace

void bind_request(nb::module_& module) {
  bind_inpaint(module);
  nb::enum_<Noise>(module, "Noise")
      .value("torch_cpu", Noise::torch_cpu)
      .value("torch_cuda", Noise::torch_cuda);
  nb::class_<Request>(module, "Request", "One call of a pipeline.")
      .def(nb::init<>())
      .def_rw("prompt", &Request::prompt)
      .def_rw("image", &Request::image)
      .def_rw("image_latents", &Request::image_latents)
      .def_rw("image_per_sample", &Request::image_per_sample)
      .def_rw("inpaint", &Request::inpaint, nb::arg().none())
      .def_rw("height", &Request::height, nb::arg().none())
      .def_rw("width", &Request::width, nb::arg().none())
      .def_rw("num_inference_steps", &Request::num_inference_steps, nb::arg().none())
      .def_rw("sigmas", &Request::sigmas)
      .def_rw("guidance_scale", &Request::guidance_scale, nb::arg().none())
      .def_rw("num_images_per_prompt", &Request::num_images_per_prompt)
      .def_rw("seeds", &Request::seeds)
      .def_rw("noise", &Request::noise)
      .def_rw("noise_dtype", &Request::noise_dtype)
      .def_rw("cuda_card", &Request::cuda_card)
      .def_rw("latents", &Request::latents, nb::arg().none())
      .def_rw("prompt_embeds", &Request::prompt_embeds, nb::arg().none())
      .def_rw("negative_prompt", &Request::negative_prompt)
      .def_rw("negative_prompt_embeds", &Request::negative_prompt_embeds, nb::arg().none())
      .def_rw("max_sequence_length", &Request::max_sequence_length, nb::arg().none())
      .def_rw("text_encoder_out_layers", &Request::text_encoder_out_layers)
      .def_rw("caption_upsample_temperature", &Request::caption_upsample_temperature,
              nb::arg().none())
      .def_rw("attention_mask", &Request::attention_mask, nb::arg().none())
      .def_rw("adapters", &Request::adapters)
      .def_rw("adapter_scale", &Request::adapter_scale);
}

}  // namespace flux2::python
