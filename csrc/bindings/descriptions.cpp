// What is said of an op: signatures, help, and the descriptions that tests and stubs read. All of
// it comes from the declaration.
#include "bindings/bindings.h"

namespace ranvier::python {
namespace {

std::string kind_name(const AttrDef& attr) {
  switch (attr.kind) {
    case AttrKind::flag:
      return "bool";
    case AttrKind::integer:
      return "int";
    case AttrKind::number:
      return "float";
    case AttrKind::text:
      return "str";
    case AttrKind::integers:
      return "int or sequence of int";
    case AttrKind::dtype:
      return "dtype";
  }
  return "";
}

const char* types_name(Types types) {
  switch (types) {
    case Types::floats:
      return "a floating dtype, the same for all";
    case Types::promote:
    case Types::promote_rest:
      return "any dtype; different ones are promoted";
    case Types::promote_floats:
      return "any dtype; integers are taken as float32";
    case Types::any:
      break;
  }
  return "any dtype unless the text says otherwise";
}

std::string shown_default(const AttrDef& attr) {
  if (attr.kind == AttrKind::dtype && std::holds_alternative<int64_t>(attr.value))
    return name_of(static_cast<DType>(std::get<int64_t>(attr.value)));
  return to_string(attr.value);
}

std::string signature_as(const OpDef& op, const std::string& shown) {
  std::string text;
  for (size_t at = 0; at < op.arguments.size(); ++at) {
    const std::string& name = op.arguments[at];
    if (at == op.positional) text += text.empty() ? "*" : ", *";
    text += (text.empty() ? "" : ", ") + name;
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (op.inputs[i] == name && op.optional[i]) text += "=None";
    for (const AttrDef& attr : op.attrs)
      if (attr.name == name && !attr.required) text += "=" + shown_default(attr);
  }
  return shown + "(" + text + ")";
}

}  // namespace

py::object attr_object(const AttrDef& def, const Attr& attr) {
  if (def.kind == AttrKind::dtype && std::holds_alternative<int64_t>(attr))
    return dtype_object(static_cast<DType>(std::get<int64_t>(attr)));
  return std::visit(
      [](const auto& value) -> py::object {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>)
          return py::none();
        else
          return py::cast(value);
      },
      attr);
}

std::string signature_of(const OpDef& op) {
  const bool plain = op.keyword_form.empty();
  return signature_as(plain ? op : *registry().find(op.keyword_form), op.name);
}

std::string members_of(const OpDef& op) {
  std::string text;
  for (size_t i = 0; i < op.each.size(); ++i)
    text += (i > 0 ? ", " : "") + op.each[i] + (op.each_optional[i] ? " (or None)" : "");
  return text;
}

// NumPy style, put together from the declaration.
std::string doc_of(const OpDef& op) {
  std::string text = signature_of(op) + "\n\n" + op.doc + "\n\nParameters\n----------\n";
  for (const std::string& name : op.arguments) {
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (op.inputs[i] == name)
        text += name + " : " +
                (op.variadic && i + 1 == op.inputs.size() ? "sequence of Tensor" : "Tensor") +
                (op.optional[i] ? ", optional" : "") + "\n    " + types_name(op.types) + "." +
                (op.in_group(i) ? " For each parameter: " + members_of(op) + "." : "") + "\n";
    for (const AttrDef& attr : op.attrs)
      if (attr.name == name)
        text += name + " : " + kind_name(attr) +
                (attr.required ? "" : ", default " + shown_default(attr)) + "\n";
  }
  if (!op.keyword_form.empty())
    for (const AttrDef& attr : registry().find(op.keyword_form)->attrs)
      text += attr.name + " : " + kind_name(attr) + ", default " + shown_default(attr) + "\n";
  text += "\nNotes\n-----\nForward: " + op.formula.text + "\n";
  for (const Derivative& d : op.formula.derivatives)
    text += "Derivative with respect to " + d.of + ": " + d.text + "\n";
  if (!op.example.empty()) text += "\nExamples\n--------\n>>> " + op.example + "\n";
  return text;
}

// What inspect.signature() answers.
py::object inspected(const OpDef& plain) {
  const bool has_form = !plain.keyword_form.empty();
  const OpDef& op = has_form ? *registry().find(plain.keyword_form) : plain;
  const py::module_ inspect = py::module_::import("inspect");
  const py::object parameter = inspect.attr("Parameter"), none = parameter.attr("empty");
  py::list parameters;
  bool needed = false;  // a default before an argument that is required would mean nothing
  for (size_t at = op.arguments.size(); at-- > 0;) {
    const std::string& name = op.arguments[at];
    py::object value = none;
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (op.inputs[i] == name && op.optional[i]) value = py::none();
    for (const AttrDef& attr : op.attrs)
      if (attr.name == name && !attr.required) value = attr_object(attr, attr.value);
    const bool positional = at < op.positional;
    if (positional && (needed = needed || value.is(none))) value = none;
    const char* kind = positional ? "POSITIONAL_OR_KEYWORD" : "KEYWORD_ONLY";
    parameters.insert(0, parameter(name, parameter.attr(kind), py::arg("default") = value));
  }
  return inspect.attr("Signature")(parameters);
}

namespace {

py::dict description(const OpDef& op) {
  py::list attrs, derivatives;
  for (const AttrDef& attr : op.attrs)
    attrs.append(py::dict(py::arg("name") = attr.name, py::arg("kind") = kind_name(attr),
                          py::arg("default") = attr_object(attr, attr.value),
                          py::arg("required") = attr.required,
                          py::arg("optional") = attr.optional));
  for (const Derivative& d : op.formula.derivatives)
    derivatives.append(py::make_tuple(d.of, d.text, d.latex));
  return py::dict(
      py::arg("name") = op.name, py::arg("doc") = op.doc, py::arg("inputs") = op.inputs,
      py::arg("optional") = op.optional, py::arg("variadic") = op.variadic,
      py::arg("each") = op.each, py::arg("outputs") = op.outputs,
      py::arg("many_results") = op.many_results, py::arg("fewer_results") = op.fewer_results,
      py::arg("positional") = op.positional, py::arg("moves") = op.moves,
      py::arg("arguments") = op.arguments, py::arg("attrs") = attrs,
      py::arg("formula") = op.formula.text, py::arg("latex") = op.formula.latex,
      py::arg("derivatives") = derivatives, py::arg("gradient_of") = op.gradient_of,
      py::arg("in_place_of") = op.in_place_of, py::arg("keyword_form") = op.keyword_form,
      py::arg("method") = op.method, py::arg("mutates") = op.mutates,
      py::arg("differentiable") = op.differentiable, py::arg("view") = op.view != nullptr,
      py::arg("composite") = op.composite != nullptr, py::arg("kernel") = op.forward != nullptr,
      py::arg("example") = op.example, py::arg("signature") = signature_of(op));
}

}  // namespace

void bind_descriptions(py::module_& m) {
  m.def("registry", [] {
    py::list list;
    for (const OpDef& op : registry().all()) list.append(description(op));
    return list;
  });
  m.def("cost", [](const std::string& name, const std::vector<std::vector<int64_t>>& shapes) {
    const OpDef* op = registry().find(name);
    if (!op) fail(ErrorKind::key, "[cost] there is no op '", name, "'");
    Metas in;
    for (const auto& shape : shapes) in.push_back({Dims(std::span<const int64_t>(shape))});
    in.resize(op->inputs.size());
    Flags given(op->inputs.size(), true);
    for (size_t i = shapes.size(); i < given.size(); ++i) given[i] = false;
    if (!op->infer || shapes.size() > op->inputs.size())
      fail(ErrorKind::value, "[cost] expected an op with a kernel and at most ", op->inputs.size(),
           " shapes, got '", name, "' with ", shapes.size());
    Attrs attrs;
    for (const AttrDef& attr : op->attrs) {
      if (attr.required)
        fail(ErrorKind::value, "[cost] expected an op whose attributes have defaults, got '", name,
             "', which needs '", attr.name, "'");
      attrs.push_back(attr.value);
    }
    const Metas out = op->infer(InferArgs(*op, attrs, in, given));
    const Cost cost = cost_of(*op, in, out, attrs);
    return py::make_tuple(cost.flops, cost.bytes);
  });
}

}  // namespace ranvier::python
