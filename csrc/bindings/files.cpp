// Files of tensors for Python: paths, names, metadata and signals; csrc/files/ does the work. Other
// threads of Python go on meanwhile.
#include <span>

#include "bindings/bindings.h"
#include "files/writer.h"

namespace ranvier::python {
namespace {

// As the system takes it, from a string or what has __fspath__.
std::string path_from(const std::string& where, py::handle object) {
  PyObject* bytes = nullptr;
  if (!PyUnicode_FSConverter(object.ptr(), &bytes)) {
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) throw py::error_already_set();
    PyErr_Clear();  // a NUL, or half a character
    fail(ErrorKind::value, "[", where, "] path: expected a path that the system can have, got ",
         std::string(py::repr(object)));
  }
  return py::reinterpret_steal<py::bytes>(bytes);
}

// What a Python string holds, in UTF-8.
std::string text_from(const char* what, py::handle object) {
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(object.ptr(), &size);
  if (text) return {text, static_cast<std::size_t>(size)};
  PyErr_Clear();
  fail(ErrorKind::value, "[save] ", what, ": expected text that UTF-8 can hold, got ",
       std::string(py::repr(object)).substr(0, 60));
}

NamedTensors tensors_from(const py::dict& tensors) {
  NamedTensors result;
  result.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    result.emplace_back(text_from("name", name), tensor.cast<Tensor>());
  return result;
}

Metadata metadata_from(const py::dict& metadata) {
  Metadata result;
  for (const auto& [key, value] : metadata)
    result.emplace_back(text_from("metadata", key), text_from("metadata", value));
  return result;
}

void rethrow(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

// Ctrl-C is answered between two parts of the file.
void write(const py::object& path, const py::dict& tensors, const py::dict& metadata) {
  const NamedTensors named = tensors_from(tensors);
  files::TensorWriter writer(path_from("save", path), named, metadata_from(metadata));
  for (bool more = true; more;) {
    rethrow(without_lock([&] { more = writer.write_some(); }));
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
  rethrow(without_lock([&] { writer.finish(); }));
}

py::tuple results(const TensorFile& file, std::vector<Tensor>& tensors) {
  py::dict named, metadata;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    named[py::str(file.entries()[i].name)] = std::move(tensors[i]);
  for (const auto& [key, value] : file.metadata()) metadata[py::str(key)] = py::str(value);
  return py::make_tuple(named, metadata);
}

// The tensors of `open()`, a TensorFile, and its metadata.
template <class Open>
py::tuple read_from(const Open& open) {
  std::optional<TensorFile> file;
  std::vector<Tensor> tensors;
  rethrow(without_lock([&] {
    file.emplace(open());
    tensors.reserve(file->entries().size());
    for (std::size_t i = 0; i < file->entries().size(); ++i) tensors.push_back(file->tensor(i));
  }));
  return results(*file, tensors);
}

py::tuple read(const py::object& path, Flag map) {
  const std::string name = path_from("load", path);
  return read_from([&] { return TensorFile(name, map); });
}

py::bytes to_bytes(const py::dict& tensors, const py::dict& metadata) {
  const NamedTensors named = tensors_from(tensors);
  const files::TensorBytes bytes(named, metadata_from(metadata));
  const auto result = py::reinterpret_steal<py::bytes>(
      PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes.size())));
  if (!result) throw py::error_already_set();
  char* const to = PyBytes_AS_STRING(result.ptr());
  rethrow(without_lock([&] { bytes.copy_to(to); }));
  return result;
}

py::tuple from_bytes(const py::bytes& bytes, const std::string& name) {
  const std::span<const char> memory(PyBytes_AS_STRING(bytes.ptr()),
                                     static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  return read_from([&] { return TensorFile::in_memory(memory, name); });
}

}  // namespace

void bind_files(py::module_& m) {
  m.def("write_tensors", &write, py::arg("path"), py::arg("tensors"), py::arg("metadata"));
  m.def("read_tensors", &read, py::arg("path"), py::arg("mmap") = Flag{true});
  m.def("tensors_to_bytes", &to_bytes, py::arg("tensors"), py::arg("metadata"));
  m.def("tensors_from_bytes", &from_bytes, py::arg("data"), py::arg("name"));
}

}  // namespace ranvier::python
