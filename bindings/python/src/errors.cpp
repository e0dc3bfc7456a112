#include <filesystem>
#include <system_error>

#include "bindings.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

bool is_missing(const std::string& file) {
  std::error_code ignored;
  return !file.empty() && !std::filesystem::exists(file, ignored);
}

// The exception of Python that says the same.
PyObject* python_type(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_request:
      return PyExc_ValueError;
    case ErrorCode::bad_file:
      return is_missing(error.where()) ? PyExc_FileNotFoundError : PyExc_OSError;
    case ErrorCode::out_of_memory:
      return PyExc_MemoryError;
    case ErrorCode::cancelled:
      return PyExc_InterruptedError;
    case ErrorCode::internal:
      break;
  }
  return PyExc_RuntimeError;
}

}  // namespace

void bind_errors(nb::module_&) {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      PyErr_SetString(python_type(error), error.what());
    }
  });
}

}  // namespace flux2::python
