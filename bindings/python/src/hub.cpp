#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "conversation.h"

namespace nb = nanobind;

namespace flux2::python {
namespace {

PulledModel pull_with(const std::string& repo, PullOptions options, const nb::object& progress) {
  Conversation conversation;
  options.stop = conversation.stop_token();
  if (!progress.is_none()) {
    options.progress = [&](const PullProgress& made) { conversation.ask([&] { progress(made); }); };
  }
  PulledModel pulled;
  conversation.run([&] { pulled = pull(repo, options); });
  return pulled;
}

}  // namespace

void bind_hub(nb::module_& module) {
  nb::enum_<HubAccess>(module, "HubAccess")
      .value("cached", HubAccess::cached)
      .value("refresh", HubAccess::refresh)
      .value("offline", HubAccess::offline);
  nb::class_<PullProgress>(module, "PullProgress", "How far a pull is.")
      .def_ro("done", &PullProgress::done)
      .def_ro("total", &PullProgress::total)
      .def_ro("received", &PullProgress::received)
      .def_ro("files_done", &PullProgress::files_done)
      .def_ro("files", &PullProgress::files)
      .def_ro("seconds", &PullProgress::seconds);
  nb::class_<PullOptions>(module, "PullOptions", "How a model is brought from the hub.")
      .def(nb::init<>())
      .def_rw("revision", &PullOptions::revision)
      .def_rw("access", &PullOptions::access)
      .def_rw("parts", &PullOptions::parts)
      .def_rw("include", &PullOptions::include)
      .def_rw("cache_dir", &PullOptions::cache_dir)
      .def_rw("token", &PullOptions::token, nb::arg().none())
      .def_rw("endpoint", &PullOptions::endpoint)
      .def_rw("connections", &PullOptions::connections);
  nb::class_<PulledModel>(module, "PulledModel", "What a pull brought.")
      .def_ro("repo", &PulledModel::repo)
      .def_ro("revision", &PulledModel::revision)
      .def_ro("commit", &PulledModel::commit)
      .def_ro("path", &PulledModel::path)
      .def_ro("files", &PulledModel::files)
      .def_ro("bytes", &PulledModel::bytes);
  module.def("pull", &pull_with, nb::arg("repo"), nb::arg("options") = PullOptions(),
             nb::arg("progress") = nb::none(), "Other Python threads run meanwhile.");
  module.def("names_repository", &names_repository, nb::arg("model"));
}

}  // namespace flux2::python
