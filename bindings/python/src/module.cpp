#include "bindings.h"

// The C++ interface as it is, one to one; what Diffusers' users know is written over it in Python.
NB_MODULE(_flux2, module) {
  module.doc() = "The C++ interface of flux2, include/flux2/.";
  module.def("version", &flux2::version, "Of the library: \"MAJOR.MINOR.PATCH\".");
  flux2::python::bind_errors(module);
  flux2::python::bind_arrays(module);
  flux2::python::bind_adapters(module);
  flux2::python::bind_request(module);
  flux2::python::bind_run(module);
  flux2::python::bind_model(module);
  flux2::python::bind_hub(module);
  flux2::python::bind_pipeline(module);
}
