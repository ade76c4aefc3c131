// Which line of the user's Python runs: the nearest frame outside the package. Recordings keep it
// with every instruction.
#include <string>
#include <string_view>

#include "bindings/bindings.h"
#include "core/recording.h"
#include "program/recorder.h"

namespace ranvier::python {
namespace {

std::string& package_folder() {
  static std::string folder;
  return folder;
}

std::string_view file_of(PyCodeObject* code) {
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(code->co_filename, &size);
  if (text) return {text, static_cast<size_t>(size)};
  PyErr_Clear();
  return {};
}

// "train.py:12"
Place written(std::string_view file, int line) {
  const size_t slash = file.find_last_of("/\\");
  if (slash != std::string_view::npos) file.remove_prefix(slash + 1);
  return std::make_shared<const std::string>(std::string(file) + ":" + std::to_string(line));
}

Place search() {
  const std::string& package = package_folder();
  auto frame = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  while (frame) {
    auto* const f = reinterpret_cast<PyFrameObject*>(frame.ptr());
    const auto code =
        py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(PyFrame_GetCode(f)));
    const std::string_view file = file_of(reinterpret_cast<PyCodeObject*>(code.ptr()));
    const bool inside = !package.empty() && file.size() > package.size() &&
                        file.starts_with(package) &&
                        (file[package.size()] == '/' || file[package.size()] == '\\');
    if (!inside) return written(file, PyFrame_GetLineNumber(f));
    frame = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(PyFrame_GetBack(f)));
  }
  return {};
}

thread_local Place kept;

Place place_now() { return PyGILState_Check() ? search() : kept; }

}  // namespace

void keep_place() {
  if (recording) kept = search();
}

void bind_places() {
  // The package is being imported: its folder is known already.
  const auto folders = py::list(py::module_::import("ranvier").attr("__path__"));
  if (!folders.empty()) package_folder() = py::str(folders[0]).cast<std::string>();
  current_place = place_now;
}

}  // namespace ranvier::python
