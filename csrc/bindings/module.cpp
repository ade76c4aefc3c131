// The extension module ranvier._C: errors, settings, generators, programs, and what the other
// binding files add.
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string_view>

#include "bindings/bindings.h"
#include "core/allocator.h"
#include "core/recording.h"
#include "core/structure.h"

namespace ranvier::python {
namespace {

// ShapeError is both a ValueError (NumPy's habit) and a RuntimeError (PyTorch's).
PyObject* shape_error = nullptr;

PyObject* class_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::type:
      return PyExc_TypeError;
    case ErrorKind::index:
      return PyExc_IndexError;
    case ErrorKind::key:
      return PyExc_KeyError;
    case ErrorKind::value:
      return PyExc_ValueError;
    case ErrorKind::shape:
      return shape_error;
    case ErrorKind::memory:
      return PyExc_MemoryError;
    case ErrorKind::runtime:
      break;
  }
  return PyExc_RuntimeError;
}

// With the bytes of a path that are not UTF-8 shown as such.
void set_error(const Error& error) {
  const std::string_view text = error.what();
  const auto message = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "backslashreplace"));
  if (!message) return;
  if (const auto* const refused = dynamic_cast<const FileError*>(&error)) {
    // Python takes the class that belongs to the number: FileNotFoundError and its like.
    const py::tuple arguments = py::make_tuple(refused->code(), message);
    PyErr_SetObject(PyExc_OSError, arguments.ptr());
  } else {
    PyErr_SetObject(class_of(error.kind()), message.ptr());
  }
}

void bind_errors(py::module_& m) {
  const py::tuple bases = py::make_tuple(py::reinterpret_borrow<py::object>(PyExc_ValueError),
                                         py::reinterpret_borrow<py::object>(PyExc_RuntimeError));
  shape_error = PyErr_NewExceptionWithDoc("ranvier.ShapeError", "Shapes that do not fit together.",
                                          bases.ptr(), nullptr);
  m.attr("ShapeError") = py::reinterpret_borrow<py::object>(shape_error);
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error& e) {
      set_error(e);
    }
  });
}

void bind_settings(py::module_& m) {
  m.def("version", &version);
  m.def("available_isas", &available_isas);
  m.def("current_isa", &current_isa);
  m.def(
      "set_isa",
      [](const std::string& name) {
        set_isa(name);
        structure_changed();
      },
      py::arg("name"));
  m.def("get_num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def("thread_team", &thread_team);
  m.def("set_grain", &set_grain, py::arg("n"));
  m.def("empty_cache", &empty_cache);
  m.def("is_recording", [] { return recording; });
  m.def("system_requests", &system_requests);
  m.def("promote_types", [](const py::object& a, const py::object& b) {
    return dtype_object(promote(dtype_from(a), dtype_from(b)));
  });
  m.def("get_default_dtype", [] { return dtype_object(default_dtype()); });
  m.def("set_default_dtype", [](const py::object& d) {
    set_default_dtype(dtype_from(d));
    structure_changed();
  });
}

// Also by name, as in Generator(device='cpu'), and as the first argument, where PyTorch has it.
void check_cpu(py::handle device) {
  const std::string name = py::str(device);
  if (name != "cpu" && name != "cpu:0")
    fail(ErrorKind::runtime, "[Generator] expected a seed or the device 'cpu', got '", name, "'");
}

uint64_t seed_from(py::handle object) {
  const auto wrong = [&](ErrorKind kind) {
    fail(kind, "[Generator] seed: expected a whole number from 0 to 2**64 - 1, got ",
         std::string(py::repr(object)));
  };
  if (!PyIndex_Check(object.ptr()) || PyBool_Check(object.ptr())) wrong(ErrorKind::type);
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
  if (!number) throw py::error_already_set();
  const uint64_t seed = PyLong_AsUnsignedLongLong(number.ptr());
  if (!PyErr_Occurred()) return seed;
  PyErr_Clear();
  wrong(ErrorKind::value);
  return 0;
}

constexpr int64_t kStateBytes = 2 * sizeof(int64_t);

Tensor state_bytes(const Generator& g) {
  forbid_while_recording("get_state()");
  const Tensor bytes = Tensor::empty({kStateBytes}, DType::uint8);
  std::memcpy(bytes.raw(), g.state().raw(), kStateBytes);
  return bytes;
}

void set_state_bytes(const Generator& g, const Tensor& bytes) {
  if (recording && !end_recording("sets a seed", false)) forbid_while_recording("set_state()");
  if (bytes.dtype() != DType::uint8)
    fail(ErrorKind::type, "[set_state] expected what get_state() gave, uint8, got ",
         name_of(bytes.dtype()));
  if (!(bytes.shape() == Dims{kStateBytes}) || !bytes.is_contiguous())
    fail(ErrorKind::shape, "[set_state] expected what get_state() gave, shape (", kStateBytes,
         ",), got ", to_string(bytes.shape()));
  std::memcpy(g.state().raw(), bytes.raw(), kStateBytes);
}

void bind_generator(py::module_& m) {
  // Held by shared_ptr: pybind11 then refuses an object whose __init__ was never called.
  using Held = std::shared_ptr<Generator>;
  py::class_<Generator, Held>(m, "Generator", "A source of random numbers with a seed of its own.")
      .def(py::init([](const py::object& seed, const py::object& device) {
             check_cpu(device);
             if (!PyUnicode_Check(seed.ptr())) return std::make_shared<Generator>(seed_from(seed));
             check_cpu(seed);
             return std::make_shared<Generator>();
           }),
           py::arg("seed") = 0, py::arg("device") = "cpu")
      .def(
          "manual_seed",
          [](const Held& g, const py::object& seed) {
            g->manual_seed(seed_from(seed));
            return g;
          },
          py::arg("seed"))
      .def("initial_seed", [](const Held& g) { return g->seed(); })
      .def("seed",
           [](const Held& g) {
             std::random_device entropy;
             g->manual_seed(uint64_t{entropy()} << 32 | entropy());
             return g->seed();
           })
      .def("get_state", [](const Held& g) { return state_bytes(*g); })
      .def(
          "set_state",
          [](const Held& g, const py::object& new_state) {
            if (!py::isinstance<TensorImpl>(new_state))
              fail(ErrorKind::type, "[set_state] expected what get_state() gave, got ",
                   std::string(py::repr(new_state)));
            set_state_bytes(*g, new_state.cast<Tensor>());
            return g;
          },
          py::arg("new_state"))
      .def_property_readonly("state", [](const Held& g) { return g->state(); });
  m.def("default_generator", [] { return Held(&default_generator(), [](Generator*) {}); });
}

void bind_creation(py::module_& m) {
  m.def("empty", [](const std::vector<int64_t>& shape, const py::object& dtype) {
    const Tensor t = Tensor::empty(Dims(std::span<const int64_t>(shape)), dtype_from(dtype));
    // Any bits are some number, but a bool of other bits than 0 and 1 is undefined behaviour.
    if (t.dtype() == DType::bool_) std::fill_n(t.data<bool>(), t.numel(), false);
    return t;
  });
  m.def("full",
        [](const std::vector<int64_t>& shape, const py::object& value, const py::object& dtype) {
          return Tensor::full(Dims(std::span<const int64_t>(shape)),
                              exact_double("full", "fill_value", value), dtype_from(dtype));
        });
  // Of what a recorded step reads anew each time, and must not set.
  m.def("set_number", [](const Tensor& t, double value) {
    if (recording && !end_recording("sets a learning rate or a momentum", false))
      forbid_while_recording("a setting of an optimizer");
    if (t.dtype() != DType::float64 || t.numel() != 1)
      fail(ErrorKind::type, "[set_number] expected one float64, got ", name_of(t.dtype()));
    *t.data<double>() = value;
  });
  // What a recorded step goes on with: zeros that belong to the caller and not to the program.
  m.def("state_zeros", [](const std::vector<int64_t>& shape, const py::object& dtype) {
    const Tensor t = Tensor::zeros(Dims(std::span<const int64_t>(shape)), dtype_from(dtype));
    t.impl()->storage->unrecorded = 0;
    return t;
  });
  m.def("zeros", [](const std::vector<int64_t>& shape, const py::object& dtype) {
    return Tensor::zeros(Dims(std::span<const int64_t>(shape)), dtype_from(dtype));
  });
  m.def("from_numpy", [](const py::array& array) { return from_array(array, false); });
  m.def("copy_of_array", [](const py::array& array) { return from_array(array, true); });
  m.def(
      "as_tensor",
      [](const py::object& data, const py::object& dtype) {
        return tensor_from(data, dtype.is_none() ? std::nullopt : std::optional(dtype_from(dtype)));
      },
      py::arg("data"), py::arg("dtype") = py::none());
  m.def(
      "from_dlpack",
      [](const py::object& object, const py::object& copy) { return from_dlpack(object, copy); },
      py::arg("ext_tensor"), py::kw_only(), py::arg("copy") = py::none());
  bind_generator(m);
}

}  // namespace

void set_python_error() {
  try {
    throw;
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (const Error& e) {
    set_error(e);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

}  // namespace ranvier::python

PYBIND11_MODULE(_C, m) {
  m.doc() = "The compiled core of ranvier.";
  ranvier::python::bind_errors(m);
  ranvier::python::bind_size(m);
  ranvier::python::bind_tensor(m);
  ranvier::python::bind_autograd(m);
  ranvier::python::bind_memory(m);
  ranvier::python::bind_ops(m);
  ranvier::python::bind_updates(m);
  ranvier::python::bind_settings(m);
  ranvier::python::bind_creation(m);
  ranvier::python::bind_program(m);
  ranvier::python::bind_places();
  ranvier::python::bind_capture(m);
  ranvier::python::bind_listing(m);
  ranvier::python::bind_epoch(m);
  ranvier::python::bind_predict(m);
  ranvier::python::bind_files(m);
}
