// Gradients for Python: the gradient's side of Tensor, hooks, and functions with a derivative
// written in Python. ranvier/autograd/ puts PyTorch's names around what is here.
#include <optional>

#include "autograd/node.h"
#include "bindings/bindings.h"

namespace ranvier::python {
namespace {

// A Python object held by the graph, which may let go of it in a thread without the lock, or after
// the interpreter has ended.
class Held {
 public:
  explicit Held(const py::object& object)
      : object_(new py::object(object), [](py::object* held) {
          if (!Py_IsInitialized()) return;
          const py::gil_scoped_acquire gil;
          delete held;
        }) {}
  const py::object& get() const { return *object_; }

 private:
  std::shared_ptr<py::object> object_;
};

Tensor tensor_or_none(py::handle object, const char* where) {
  if (object.is_none()) return {};
  if (!is_tensor(object.ptr()))
    fail(ErrorKind::type, "[", where, "] expected a tensor or None, got ",
         std::string(py::str(py::type::of(object).attr("__name__"))));
  return object.cast<Tensor>();
}

Tensors tensors_or_none(py::handle objects, const char* where) {
  Tensors tensors;
  for (const py::handle object : objects) tensors.push_back(tensor_or_none(object, where));
  return tensors;
}

// Its derivative is a Python callable: (grads, needs, attached) -> gradients of the inputs.
class PythonFunction : public Function {
 public:
  PythonFunction(const py::object& derivative, std::string name)
      : derivative_(derivative), name_(std::move(name)) {}
  std::string name() const override { return name_; }
  Tensors backward(const Tensors& grads, const Flags& needs, const Self& self) override {
    const py::gil_scoped_acquire gil;
    const py::object attached = py::cpp_function(self.attached);
    return tensors_or_none(derivative_.get()(py::cast(grads), py::cast(needs), attached),
                           "backward");
  }

 private:
  Held derivative_;
  std::string name_;
};

Hook hook_of(const py::object& function) {
  return [held = Held(function)](const Tensor& g) {
    const py::gil_scoped_acquire gil;
    return tensor_or_none(held.get()(g), "hook");
  };
}

Tensors list_of(const py::object& given) {
  if (given.is_none()) return {};
  if (is_tensor(given.ptr())) return {given.cast<Tensor>()};
  return tensors_or_none(given, "backward");
}

// The gradient's side of Tensor. `backward` stays under the interpreter's lock: threads that share
// a parameter add to one gradient.
void bind_members(py::class_<TensorImpl, Ref<TensorImpl>>& tensor) {
  tensor.def_property_readonly("is_leaf", [](const Tensor& t) { return is_leaf(t); })
      .def_property(
          "requires_grad", [](const Tensor& t) { return requires_grad(t); },
          [](const Tensor& t, Flag value) { set_requires_grad(t, value); })
      .def_property(
          "grad", [](const Tensor& t) { return grad(t); },
          [](const Tensor& t, const py::object& g) { set_grad(t, tensor_or_none(g, "grad")); })
      .def_property_readonly(
          "retains_grad",
          [](const Tensor& t) { return !is_leaf(t) && t.impl()->autograd->retains_grad; })
      .def("retain_grad", [](const Tensor& t) { retain_grad(t); })
      .def("detach", [](const Tensor& t) { return t.detach(); })
      .def("detach_",
           [](const Tensor& t) {
             if (t.impl()->base && requires_grad(t))
               fail(ErrorKind::runtime, "[detach_] expected a tensor that is no view, got a view, ",
                    "whose history is its base's; use detach(), or detach_() on the base");
             forget_history(t);
             set_requires_grad(t, false);
             return t;
           })
      .def(
          "requires_grad_",
          [](const Tensor& t, Flag value) {
            set_requires_grad(t, value);
            return t;
          },
          py::arg("requires_grad") = Flag{true})
      .def(
          "backward",
          [](const Tensor& t, const py::object& gradient, const std::optional<Flag>& retain_graph,
             Flag create_graph, const py::object& inputs) {
            const BackwardOptions options{.retain_graph = retain_graph.value_or(create_graph),
                                          .create_graph = create_graph};
            backward({t}, {tensor_or_none(gradient, "backward")}, list_of(inputs), options);
          },
          py::arg("gradient") = py::none(), py::arg("retain_graph") = py::none(),
          py::arg("create_graph") = Flag{false}, py::arg("inputs") = py::none());
}

// Where a node's gradients go: the node that made an input and which of its results that was, the
// leaf itself, or None.
py::tuple next_of(const Node& node) {
  py::tuple next(node.parents.size());
  for (size_t i = 0; i < node.parents.size(); ++i)
    next[i] = py::make_tuple(node.parents[i]            ? py::cast(node.parents[i])
                             : node.leaves[i].defined() ? py::cast(node.leaves[i])
                                                        : py::object(py::none()),
                             node.parent_outputs[i]);
  return next;
}

// Whether a tensor is what an op gave, or that in another shape or dtype.
bool made_by(const py::object& tensor, const std::string& op) {
  if (!py::isinstance<TensorImpl>(tensor)) return false;
  const Tensor t = tensor.cast<Tensor>();
  if (is_leaf(t)) return false;
  const Node* node = autograd_meta(t).node.get();
  while (node && node->op && node->op->moves && node->op->name != op) node = node->parents[0].get();
  return node && node->op && node->op->name == op;
}

void bind_nodes(py::module_& m, py::class_<TensorImpl, Ref<TensorImpl>>& tensor) {
  py::class_<Node, Ref<Node>>(m, "Node", "An operation of a graph, as backward walks it.")
      .def(
          "name", [](const Node& node) { return node.name(); }, "The op, or the user's Function.")
      .def_property_readonly(
          "next", next_of, "For each input where its gradient goes: (Node, leaf or None, result).")
      .def("__repr__", [](const Node& node) { return "<" + node.name() + ">"; });
  tensor.def_property_readonly("grad_fn", [](const Tensor& t) -> py::object {
    if (is_leaf(t)) return py::none();
    return py::cast(autograd_meta(t).node);
  });
}

}  // namespace

void bind_autograd(py::module_& m) {
  auto tensor = m.attr("Tensor").cast<py::class_<TensorImpl, Ref<TensorImpl>>>();
  bind_members(tensor);
  bind_nodes(m, tensor);
  m.def("is_grad_enabled", &grad_enabled);
  m.def("made_by", &made_by, py::arg("tensor"), py::arg("op"));
  m.def("set_grad_enabled", [](Flag mode) { set_grad_enabled(mode); }, py::arg("mode"));
  m.def("add_hook", [](const Tensor& t, const py::object& function) {
    return py::cpp_function(add_hook(t, hook_of(function)));
  });
  m.def("has_hooks", &has_hooks, py::arg("tensor"));
  m.def("backward", [](const Tensors& roots, const py::object& seeds, const py::object& inputs,
                       Flag retain_graph, Flag create_graph) {
    backward(roots, list_of(seeds), list_of(inputs),
             {.retain_graph = retain_graph, .create_graph = create_graph});
  });
  m.def("gradients", [](const Tensors& outputs, const Tensors& inputs, const py::object& seeds,
                        Flag retain_graph, Flag create_graph, Flag allow_unused) {
    return gradients(
        outputs, inputs, list_of(seeds),
        {.retain_graph = retain_graph, .create_graph = create_graph, .allow_unused = allow_unused});
  });
  m.def("record_function", [](const py::object& derivative, const std::string& name,
                              const Tensors& inputs, const py::object& outputs) {
    record_function(std::make_unique<PythonFunction>(derivative, name), inputs,
                    tensors_or_none(outputs, "record_function"));
  });
}

}  // namespace ranvier::python
