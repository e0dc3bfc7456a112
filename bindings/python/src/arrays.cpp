#include "arrays.h"

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bindings.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

using FloatsOut = nb::ndarray<nb::numpy, float>;
using BytesIn = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using BytesOut = nb::ndarray<nb::numpy, const std::uint8_t>;

void make_array(FloatArray* self, const FloatsIn& values) {
  new (self) FloatArray(array_of(values));
}

// A view; the array lives as long as it. An array that was left empty has no shape, which would be
// a single number's.
FloatsOut view_of(FloatArray& array) {
  std::vector<std::size_t> shape(array.shape.begin(), array.shape.end());
  if (array.values.empty() && shape.empty()) shape = {0};
  return {array.values.data(), shape.size(), shape.data(), nb::find(array)};
}

void make_image(Image* self, PixelFormat format, int width, int height, const BytesIn& pixels) {
  new (self) Image();
  self->width = width;
  self->height = height;
  self->format = format;
  self->pixels.assign(pixels.data(), pixels.data() + pixels.size());
}

void set_palette(Image& image, const BytesIn& palette) {
  image.palette.assign(palette.data(), palette.data() + palette.size());
}

// [height, width, bytes of a pixel]; a view.
BytesOut pixels_of(Image& image) {
  const std::size_t shape[] = {static_cast<std::size_t>(image.height),
                               static_cast<std::size_t>(image.width),
                               static_cast<std::size_t>(bytes_per_pixel(image.format))};
  return {image.pixels.data(), 3, shape, nb::find(image)};
}

void bind_images(nb::module_& module) {
  nb::enum_<PixelFormat>(module, "PixelFormat")
      .value("rgb", PixelFormat::rgb)
      .value("rgba", PixelFormat::rgba)
      .value("gray", PixelFormat::gray)
      .value("gray_alpha", PixelFormat::gray_alpha)
      .value("bilevel", PixelFormat::bilevel)
      .value("palette", PixelFormat::palette)
      .value("gray16", PixelFormat::gray16)
      .value("rgb16", PixelFormat::rgb16)
      .value("rgb_float", PixelFormat::rgb_float);
  nb::class_<Image>(module, "Image", "A picture in memory.")
      .def("__init__", &make_image, nb::arg("format"), nb::arg("width"), nb::arg("height"),
           nb::arg("pixels"))
      .def_ro("format", &Image::format)
      .def_ro("width", &Image::width)
      .def_ro("height", &Image::height)
      .def_rw("file", &Image::file)
      .def("set_palette", &set_palette, nb::arg("rgb"))
      .def("numpy", &pixels_of, "[height, width, channels] of bytes, not copied.");
}

}  // namespace

FloatArray array_of(const FloatsIn& values) {
  FloatArray array;
  for (std::size_t i = 0; i < values.ndim(); ++i)
    array.shape.push_back(static_cast<std::int64_t>(values.shape(i)));
  array.values.assign(values.data(), values.data() + values.size());
  return array;
}

void bind_arrays(nb::module_& module) {
  nb::class_<FloatArray>(module, "Array", "A dense array of floats.")
      .def("__init__", &make_array, nb::arg("values"))
      .def_ro("shape", &FloatArray::shape)
      .def("numpy", &view_of, "The values, not copied.");
  module.def("load_array", &load_array, nb::arg("path"), nb::arg("name"),
             "A tensor of a safetensors file, widened to float.");

  nb::enum_<NoiseDType>(module, "NoiseDType")
      .value("f32", NoiseDType::f32)
      .value("bf16", NoiseDType::bf16);
  nb::class_<NoiseGenerator>(module, "NoiseGenerator", "The numbers of torch.Generator(\"cpu\").")
      .def(nb::init<std::uint64_t>(), nb::arg("seed"))
      .def("randn", &NoiseGenerator::randn, nb::arg("shape"), nb::arg("dtype") = NoiseDType::f32);
  bind_images(module);
}

}  // namespace flux2::python
