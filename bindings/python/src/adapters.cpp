#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace nb = nanobind;

namespace flux2::python {

void bind_adapters(nb::module_& module) {
  nb::enum_<AdaLnOrder>(module, "AdaLnOrder")
      .value("correct", AdaLnOrder::correct)
      .value("reference", AdaLnOrder::reference);
  nb::class_<Adapter>(module, "Adapter", "A LoRA or its kin, and how strongly it acts.")
      .def(nb::init<>())
      .def_rw("path", &Adapter::path)
      .def_rw("weight", &Adapter::weight)
      .def_rw("lenient", &Adapter::lenient)
      .def_rw("adaln_order", &Adapter::adaln_order)
      .def_rw("sha256", &Adapter::sha256);
  nb::class_<AdapterReport>(module, "AdapterReport", "What an adapter turned out to be.")
      .def_ro("name", &AdapterReport::name)
      .def_ro("file", &AdapterReport::file)
      .def_ro("sha256", &AdapterReport::sha256)
      .def_ro("kind", &AdapterReport::kind)
      .def_ro("weight", &AdapterReport::weight)
      .def_ro("matched", &AdapterReport::matched)
      .def_ro("modules", &AdapterReport::modules)
      .def_ro("left_out", &AdapterReport::left_out);
}

}  // namespace flux2::python
