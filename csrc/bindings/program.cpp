// rv.Program: a recorded list in Python.
#include "bindings/bindings.h"
#include "program/plan.h"

namespace ranvier::python {
namespace {

Tensors tensors_of(const py::object& results) {
  Tensors tensors;
  const auto one = [&](py::handle item) {
    if (!is_tensor(item.ptr()))
      fail(ErrorKind::type, "[program] expected tensors to go in and come out, got ",
           std::string(py::repr(item)));
    tensors.push_back(item.cast<Tensor>());
  };
  if (py::isinstance<py::tuple>(results) || py::isinstance<py::list>(results))
    for (const py::handle item : results) one(item);
  else if (!results.is_none())
    one(results);
  return tensors;
}

py::object object_of(const Tensors& tensors) {
  if (tensors.size() == 1) return py::cast(tensors[0]);
  return py::tuple(py::cast(tensors));
}

}  // namespace

void bind_program(py::module_& m) {
  using Held = std::shared_ptr<Program>;
  py::class_<Program, Held>(m, "Program",
                            "The instructions of a function, to be run again without it.")
      .def_static(
          "record",
          [](const py::object& function, const py::args& inputs) {
            if (!PyCallable_Check(function.ptr()))
              fail(ErrorKind::type, "[record] expected a function, got ",
                   std::string(py::repr(function)));
            return Program::record(
                [&](const Tensors& slots) { return tensors_of(function(*py::cast(slots))); },
                tensors_of(inputs));
          },
          py::arg("function"),
          "record(function, *inputs) -> Program\n\nRuns the function once on copies of the "
          "inputs and keeps what it did.")
      .def(
          "replay",
          [](const Held& p, const py::args& in) { return object_of(p->replay(tensors_of(in))); },
          "replay(*inputs)\n\nRuns the instructions again; returns what the function returned.")
      .def_property_readonly(
          "first", [](const Held& p) { return object_of(p->first()); },
          "What the recorded run returned.")
      .def(
          "dump", [](const Held& p) { return p->dump(); },
          "The instructions as mathematics, with the lines of Python that they came from.")
      .def_property_readonly(
          "instructions", [](const Held& p) { return p->lines(); },
          "Of each instruction the op, with what is fused into it, and its line of Python.")
      .def(
          "profile",
          [](const Held& p, int n) {
            Profile profile;
            if (const auto error = without_lock([&] { profile = p->profile(n); }))
              std::rethrow_exception(error);
            py::list lines;
            for (const auto& line : profile.lines)
              lines.append(
                  py::make_tuple(line.op, line.where, line.seconds, line.flops, line.bytes));
            return py::module_::import("ranvier._program").attr("Profile")(lines, profile.seconds);
          },
          py::arg("n") = 100,
          "profile(n=100) -> Profile\n\nThe time of every instruction, typical of n runs on the "
          "inputs that came last. What the program writes to is put back.")
      .def_property_readonly(
          "arena_bytes", [](const Held& p) { return p->arena_bytes(); },
          "Size of the block that temporary results share.")
      .def("__len__", [](const Held& p) { return p->size(); });
}

}  // namespace ranvier::python
