"""Argument names, order and defaults: PyTorch's, for every function and method of tensors.

The table has one line for each form that PyTorch has. Ours must take the arguments of each form,
by place and by name, with the same defaults; it may take more (`out=`, NumPy's `axis=`). Where
PyTorch is installed the table is compared with its own schemas.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from typing import Any

import pytest

import ranvier as rv

FUNCTIONS = """
abs(input)
absolute(input)
acos(input)
acosh(input)
add(input, other, *, alpha=1)
addbmm(input, batch1, batch2, *, beta=1, alpha=1)
addcdiv(input, tensor1, tensor2, *, value=1)
addcmul(input, tensor1, tensor2, *, value=1)
addmm(input, mat1, mat2, *, beta=1, alpha=1)
addmv(input, mat, vec, *, beta=1, alpha=1)
addr(input, vec1, vec2, *, beta=1, alpha=1)
all(input)
all(input, dim, keepdim=False)
all(input, dim=None, keepdim=False)
allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False)
amax(input, dim=[], keepdim=False)
amin(input, dim=[], keepdim=False)
aminmax(input, *, dim=None, keepdim=False)
any(input)
any(input, dim, keepdim=False)
any(input, dim=None, keepdim=False)
arange(end, *, dtype=None, layout=None, device=None, pin_memory=None)
arange(start, end, *, dtype=None, layout=None, device=None, pin_memory=None)
arange(start, end, step=1, *, dtype=None, layout=None, device=None, pin_memory=None)
arccos(input)
arccosh(input)
arcsin(input)
arcsinh(input)
arctan(input)
arctan2(input, other)
arctanh(input)
are_deterministic_algorithms_enabled()
argmax(input, dim=None, keepdim=False)
argmin(input, dim=None, keepdim=False)
as_tensor(data, dtype=None, device=None)
asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False)
asin(input)
asinh(input)
atan(input)
atan2(input, other)
atanh(input)
baddbmm(input, batch1, batch2, *, beta=1, alpha=1)
bernoulli(input, *, generator=None)
bernoulli(input, p, *, generator=None)
bitwise_and(input, other)
bitwise_left_shift(input, other)
bitwise_not(input)
bitwise_or(input, other)
bitwise_right_shift(input, other)
bitwise_xor(input, other)
bmm(input, mat2)
can_cast(from_, to)
ceil(input)
clamp(input, min=None, max=None)
clip(input, min=None, max=None)
clone(input, *, memory_format=None)
copysign(input, other)
cos(input)
cosh(input)
count_nonzero(input, dim)
count_nonzero(input, dim=None)
cross(input, other, dim=None)
dist(input, other, p=2)
div(input, other, *, rounding_mode=None)
divide(input, other, *, rounding_mode=None)
dot(input, tensor)
empty(size, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None)
empty_like(input, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None)
eq(input, other)
equal(input, other)
erf(input)
erfc(input)
erfinv(input)
exp(input)
exp2(input)
expm1(input)
eye(n, *, dtype=None, layout=None, device=None, pin_memory=None)
eye(n, m, *, dtype=None, layout=None, device=None, pin_memory=None)
fix(input)
flatten(input, start_dim=0, end_dim=-1)
floor(input)
floor_divide(input, other)
fmod(input, other)
frac(input)
from_dlpack(ext_tensor, *, device=None, copy=None)
from_numpy(ndarray)
frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False)
full(size, fill_value, *, dtype=None, layout=None, device=None, pin_memory=None)
full_like(input, fill_value, *, dtype=None, layout=None, device=None, pin_memory=None, \
memory_format=None)
gather(input, dim, index, *, sparse_grad=False)
ge(input, other)
ger(input, vec2)
get_default_device()
get_default_dtype()
get_float32_matmul_precision()
get_num_threads()
get_rng_state()
greater(input, other)
greater_equal(input, other)
gt(input, other)
histc(input, bins=100, min=0, max=0)
hypot(input, other)
index_put(input, indices, values, accumulate=False)
index_select(input, dim, index)
initial_seed()
inner(input, other)
is_complex(input)
is_floating_point(input)
is_grad_enabled()
is_nonzero(input)
is_tensor(obj)
isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False)
isfinite(input)
isinf(input)
isnan(input)
kron(input, other)
le(input, other)
lerp(input, end, weight)
less(input, other)
less_equal(input, other)
linspace(start, end, steps, *, dtype=None, layout=None, device=None, pin_memory=None)
log(input)
log10(input)
log1p(input)
log2(input)
log_softmax(input, dim, dtype=None)
logical_and(input, other)
logical_not(input)
logical_or(input, other)
logical_xor(input, other)
logspace(start, end, steps, base=10.0, *, dtype=None, layout=None, device=None, pin_memory=None)
logsumexp(input, dim, keepdim=False)
lt(input, other)
manual_seed(seed)
matmul(input, other)
max(input)
max(input, dim, keepdim=False)
max(input, other)
maximum(input, other)
mean(input, *, dtype=None)
mean(input, dim, keepdim=False, *, dtype=None)
median(input)
median(input, dim, keepdim=False)
min(input)
min(input, dim, keepdim=False)
min(input, other)
minimum(input, other)
mm(input, mat2)
mode(input, dim=-1, keepdim=False)
mul(input, other)
multinomial(input, num_samples, replacement=False, *, generator=None)
multiply(input, other)
mv(input, vec)
nanmean(input, dim=None, keepdim=False, *, dtype=None)
nanmedian(input)
nanmedian(input, dim, keepdim=False)
nansum(input, dim=None, keepdim=False, *, dtype=None)
ne(input, other)
neg(input)
negative(input)
norm(input, p='fro', dim=None, keepdim=False, out=None, dtype=None)
normal(mean, std, *, generator=None)
normal(mean, std, size, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None)
normal(mean, std=1.0, *, generator=None)
not_equal(input, other)
numel(input)
ones(size, *, dtype=None, layout=None, device=None, pin_memory=None)
ones_like(input, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None)
outer(input, vec2)
permute(input, dims)
pow(input, exponent)
prod(input, *, dtype=None)
prod(input, dim, keepdim=False, *, dtype=None)
promote_types(type1, type2)
rand(size, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None)
rand_like(input, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None, \
memory_format=None)
randint(high, size, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None)
randint(low, high, size, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None)
randint_like(input, high, *, generator=None, dtype=None, layout=None, device=None, \
pin_memory=None, memory_format=None)
randint_like(input, low, high, *, generator=None, dtype=None, layout=None, device=None, \
pin_memory=None, memory_format=None)
randn(size, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None)
randn_like(input, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None, \
memory_format=None)
randperm(n, *, generator=None, dtype=None, layout=None, device=None, pin_memory=None)
reciprocal(input)
relu(input)
remainder(input, other)
reshape(input, shape)
result_type(tensor1, tensor2)
round(input, *, decimals=0)
rsqrt(input)
scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=None)
seed()
select(input, dim, index)
set_default_device(device)
set_default_dtype(d)
set_float32_matmul_precision(precision)
set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, \
sci_mode=None)
set_rng_state(new_state)
sgn(input)
sigmoid(input)
sign(input)
sin(input)
sinh(input)
softmax(input, dim, dtype=None)
sqrt(input)
square(input)
squeeze(input)
squeeze(input, dim)
std(input, dim, unbiased=True, keepdim=False)
std(input, dim=None, *, correction=None, keepdim=False)
std(input, unbiased=True)
std_mean(input, dim, unbiased=True, keepdim=False)
std_mean(input, dim=None, *, correction=None, keepdim=False)
std_mean(input, unbiased=True)
sub(input, other, *, alpha=1)
subtract(input, other, *, alpha=1)
sum(input, *, dtype=None)
sum(input, dim, keepdim=False, *, dtype=None)
tan(input)
tanh(input)
tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False)
tensordot(a, b, dims=2, out=None)
trace(input)
transpose(input, dim0, dim1)
true_divide(input, other)
trunc(input)
unsqueeze(input, dim)
use_deterministic_algorithms(mode, *, warn_only=False)
var(input, dim, unbiased=True, keepdim=False)
var(input, dim=None, *, correction=None, keepdim=False)
var(input, unbiased=True)
var_mean(input, dim, unbiased=True, keepdim=False)
var_mean(input, dim=None, *, correction=None, keepdim=False)
var_mean(input, unbiased=True)
vdot(input, other)
where(condition, input, other)
zeros(size, *, dtype=None, layout=None, device=None, pin_memory=None)
zeros_like(input, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None)
"""

METHODS = """
backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None)
bernoulli_(self, p=0.5, *, generator=None)
bfloat16(self, memory_format=None)
bool(self, memory_format=None)
byte(self, memory_format=None)
cauchy_(self, median=0.0, sigma=1.0, *, generator=None)
char(self, memory_format=None)
contiguous(self, memory_format=None)
copy_(self, src, non_blocking=False)
cpu(self, memory_format=None)
cuda(self, device=None, non_blocking=False, memory_format=None)
data_ptr(self)
detach(self)
detach_(self)
dim(self)
double(self, memory_format=None)
element_size(self)
expand(self, size, *, implicit=False)
exponential_(self, lambd=1.0, *, generator=None)
fill_(self, value)
float(self, memory_format=None)
geometric_(self, p, *, generator=None)
get_device(self)
half(self, memory_format=None)
int(self, memory_format=None)
is_contiguous(self, memory_format=None)
is_pinned(self, device=None)
is_same_size(self, other)
is_signed(self)
item(self)
log_normal_(self, mean=1.0, std=2.0, *, generator=None)
long(self, memory_format=None)
ndimension(self)
nelement(self)
new_empty(self, size, *, dtype=None, layout=None, device=None, pin_memory=None)
new_full(self, size, fill_value, *, dtype=None, layout=None, device=None, pin_memory=None)
new_ones(self, size, *, dtype=None, layout=None, device=None, pin_memory=None)
new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, \
pin_memory=False)
new_zeros(self, size, *, dtype=None, layout=None, device=None, pin_memory=None)
norm(self, p='fro', dim=None, keepdim=False, dtype=None)
normal_(self, mean=0.0, std=1.0, *, generator=None)
numpy(self, *, force=False)
pin_memory(self, device=None)
random_(self, *, generator=None)
random_(self, from, to, *, generator=None)
random_(self, to, *, generator=None)
register_hook(self, hook)
requires_grad_(self, requires_grad=True)
retain_grad(self)
short(self, memory_format=None)
size(self, dim=None)
storage_offset(self)
stride(self)
stride(self, dim)
t(self)
tolist(self)
type(self, dtype=None, non_blocking=False)
type_as(self, other)
uniform_(self, from=0.0, to=1.0, *, generator=None)
view_as(self, other)
zero_(self)
"""

# Where ours differ, and why. A name with its argument: this argument; a name alone: all of it.
DIFFERENCES = {
    "gather.sparse_grad": "gradients are never sparse",
    "expand.implicit": "PyTorch's own, for its compiler",
    "arange.step": "None, which means 1",
    "uniform_(self, from=0.0, to=1.0, *, generator=None)": "from is a word of Python's: from_",
    "random_(self, from, to, *, generator=None)": "from is a word of Python's",
    "norm(self, p='fro', dim=None, keepdim=False, dtype=None)": "takes out= as the function does",
    "clone(input, *, memory_format=None)": "the method has it",
    "compile": "changes nothing here; PyTorch's newest arguments are unknown",
    "save": "files are safetensors and hold no pickles",
    "load": "files are safetensors and hold no pickles",
    "einsum": "PyTorch's names no argument",
    "chain_matmul": "PyTorch's names no argument",
    "set_num_threads": "PyTorch's names no argument",
}


def forms(text: str) -> list[tuple[str, str, list[tuple[str, str, bool]]]]:
    """Each line as its text, the name, and (argument, default or "", keyword only)."""
    found = []
    for line in text.strip().splitlines():
        name, _, rest = line.partition("(")
        keyword, arguments = False, []
        for item in filter(None, rest[:-1].split(", ")):
            if item == "*":
                keyword = True
                continue
            argument, _, default = item.partition("=")
            arguments.append((argument, default, keyword))
        found.append((line, name, arguments))
    return found


def signature_of(value: Any) -> inspect.Signature:
    """Of a function, of an op, or of a method of pybind11's, whose text has it."""
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):
        text = re.sub(r": [^,=()\[\]]+(\[[^=()]*?\])?(?=[,=)])", "", value.__doc__.split(" -> ")[0])
        return inspect.signature(eval(f"lambda {text.partition('(')[2][:-1]}: None"))


def ours(kind: str, name: str) -> Any:
    owner: Any = rv if kind == "function" else rv.Tensor
    for part in name.split("."):
        owner = getattr(owner, part)
    return owner


def as_methods() -> list[Any]:
    """The forms of functions whose first argument is a tensor, as methods and in place."""
    found, listed = [], {form[1] for form in forms(METHODS)}
    for line, name, arguments in forms(FUNCTIONS):
        if not arguments or arguments[0][0] != "input":
            continue
        for method in (name, f"{name}_"):
            if hasattr(rv.Tensor, method) and method not in listed:
                text = line.replace(f"{name}(input", f"{method}(self", 1)
                found.append((text, method, [("self", "", False), *arguments[1:]]))
    return found


CASES = [
    pytest.param(kind, *form, id=f"{kind}: {form[0]}")
    for kind, of_kind in (("function", forms(FUNCTIONS)), ("method", forms(METHODS) + as_methods()))
    for form in of_kind
]


@pytest.mark.parametrize(("kind", "line", "name", "arguments"), CASES)
def test_ours_take_pytorchs_arguments(kind, line, name, arguments):
    arguments = [a for a in arguments if f"{name}.{a[0]}" not in DIFFERENCES]
    if name not in DIFFERENCES and line not in DIFFERENCES:
        check_form(signature_of(ours(kind, name)), arguments)


def check_form(signature: inspect.Signature, arguments: list[tuple[str, str, bool]]) -> None:
    """One form of PyTorch's fits a signature: by place, by name, and in what may be left out."""
    tokens = {name: object() for name, _, _ in arguments}
    placed = [tokens[name] for name, _, keyword in arguments if not keyword]
    by_name = {name: tokens[name] for name, _, keyword in arguments if keyword}
    bound = signature.bind(*placed, **by_name).arguments
    rest = [p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL]
    for name, token in tokens.items():
        taken = bound.get(name) is token or any(token in bound.get(r, ()) for r in rest)
        named = bound.get("kwargs", {}).get(name) is token
        assert taken or named or (name == "self" and token in bound.values()), name
    for name, default, _ in arguments:
        parameter = signature.parameters.get(name)
        if default and parameter is not None:
            assert parameter.default is not parameter.empty, f"{name} has a default in PyTorch"
            assert same_default(parameter.default, default), f"{name}={parameter.default}"


def same_default(value: Any, theirs: str) -> bool:
    wanted = ast.literal_eval(theirs)
    if wanted in (None, []):  # no axis, and no argument
        return value is None or value is False
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


OPTIONS = ("dtype", "layout", "device", "memory_format", "pin_memory")

# --- PyTorch's own -------------------------------------------------------------------------------


def written_by_pytorch(torch: Any, name: str, first: str) -> set[str]:
    """The forms of a function or method in PyTorch's schemas."""
    found = set()
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        arguments = list(schema.arguments)
        kinds = [str(a.type) for a in arguments]
        if any("Dimname" in kind or a.is_out for kind, a in zip(kinds, arguments, strict=True)):
            continue
        parts: list[str] = []
        for a in arguments:
            if a.kwarg_only and "*" not in parts:
                parts.append("*")
            default = "=None" if a.kwarg_only else ""
            if a.has_default_value():
                default = f"={None if a.name in OPTIONS else a.default_value!r}"
            parts.append((first if a.name == "self" else a.name) + default)
        found.add(f"{name}({', '.join(parts)})")
    return found


@pytest.mark.parametrize(("kind", "line", "name", "arguments"), CASES)
def test_the_table_is_pytorchs(kind, line, name, arguments):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    import torch

    theirs = getattr(torch if kind == "function" else torch.Tensor, name, None)
    if theirs is None:  # a method that PyTorch has as a function only
        return
    if inspect.isfunction(theirs):
        check_form(inspect.signature(theirs), arguments)
        return
    known = written_by_pytorch(torch, name, "input" if kind == "function" else "self")
    if line not in known:  # not every one is in the schemas: then by its documentation
        text = (inspect.getdoc(theirs) or "").partition("->")[0]
        for argument, _, _ in arguments:
            assert argument in ("self", "input") or re.search(rf"\b{argument}\b", text), known


def test_every_name_of_pytorchs_is_in_the_table():
    torch = pytest.importorskip("torch")
    listed = {form[1] for form in forms(FUNCTIONS) + forms(METHODS)} | set(DIFFERENCES)
    for name in dir(rv):
        value, theirs = getattr(rv, name), getattr(torch, name, None)
        function = callable(value) and not isinstance(value, type) and callable(theirs)
        if function and not name.startswith("_"):
            assert name in listed or name.removesuffix("_") in listed, name


def test_help_shows_them():
    assert str(inspect.signature(rv.softmax)).startswith("(input, dim")
    assert rv.softmax.__text_signature__.startswith("(input, dim")
    assert rv.matmul.__name__ == "matmul" and "Parameters" in rv.matmul.__doc__
    assert list(inspect.signature(rv.ones(2).matmul).parameters) == ["other"]


@pytest.mark.parametrize("op", [op["name"] for op in rv._C.registry()])
def test_every_op_answers_inspect(op):
    registry = {o["name"]: o for o in rv._C.registry()}
    form = registry.get(registry[op]["keyword_form"], registry[op])
    assert list(inspect.signature(getattr(rv._C.ops, op)).parameters) == form["arguments"]
