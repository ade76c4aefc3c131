"""A walk through the code of a user's function: whether it only computes.

The walk follows all ways through the code at once and keeps what each name may stand for. It knows
a list of things that are fine, and stops at the first that is not on it.
"""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ranvier._C import Tensor
from ranvier.nn import Module
from ranvier.training import plain_values as values
from ranvier.training.plain_source import Tree
from ranvier.training.plain_values import Inner, Known, Made, Method, Sort, Super, Value, Values

if TYPE_CHECKING:
    from ranvier.training.plain_walk import Walk


class Call(NamedTuple):
    """The arguments of a call, in order and by name."""

    given: list[Values]
    named: dict[str, Values]
    loose: bool = False  # with stars: any argument may go to any name
    node: ast.Call = cast(ast.Call, None)  # where it stands, in the user's code

    @property
    def text(self) -> str:
        """What is called, as it is written."""
        return _text(self.node.func)

    def all(self) -> Values:
        """Whatever may be handed on."""
        return set[Value]().union(*self.given, *self.named.values())

    def on(self, owner: Known) -> Call:
        """The call of a method, as one of its function."""
        return self._replace(given=[{owner}, *self.given])


COMPUTED, GIVEN, LAYER = Sort.COMPUTED, Sort.GIVEN, Sort.LAYER
_PASSES = 50  # through a function, until no name can stand for more


class NotPlain(Exception):  # noqa: N818  # nobody outside sees it
    """What is not on the list, and where it stands."""

    def __init__(self, text: str, filename: str, line: int) -> None:
        super().__init__(text)
        self.text, self.filename, self.line = text, filename, line


class Frame:
    """A function in one call: what its names may stand for."""

    def __init__(
        self, walk: Walk, function: types.FunctionType, tree: Tree, outer: Frame | None = None
    ) -> None:
        self.walk, self.function, self.tree, self.outer = walk, function, tree, outer
        self.filename = function.__code__.co_filename
        self.names: dict[str, Values] = {}
        self.made: dict[tuple[ast.AST, str], Made] = {}
        self.returns: Values = set()
        self.version = -1  # of all that is known, when it was last walked through
        self.own = _bound_names(tree)
        self.at: ast.AST = tree

    def stop(self, text: str, node: ast.AST | None = None) -> NotPlain:
        """The exception for what stands here."""
        return NotPlain(text, self.filename, getattr(node or self.at, "lineno", self.tree.lineno))

    # --- names

    def bind(self, name: str, found: Values) -> None:
        """A name may stand for these as well."""
        have = self.names.setdefault(name, set())
        if not found <= have:
            have |= found
            self.walk.version += 1

    def look_up(self, name: str) -> Values:
        """What a name may stand for."""
        if name in self.own:
            return self.names.get(name, set())
        if self.outer is not None:
            return self.outer.look_up(name)
        if name in self.function.__code__.co_freevars and self.function.__closure__:
            place = self.function.__code__.co_freevars.index(name)
            cell = self.function.__closure__[place]
            try:
                return {self.walk.read(self, cell.cell_contents, f"'{name}'", cell, None)}
            except ValueError:
                raise self.stop(f"reads '{name}', which has no value yet") from None
        space = self.function.__globals__
        if name in space:
            return {self.walk.read(self, space[name], f"the global '{name}'", space, name)}
        if hasattr(builtins, name):
            return {Known(getattr(builtins, name))}
        raise self.stop(f"reads '{name}', which is not there")

    def making(self, node: ast.AST, what: str = "") -> Made:
        """The one thing that stands for all that is made at a place."""
        return self.made.setdefault((node, what), Made())

    def row(self, node: ast.AST, what: str, *places: Iterable[Value]) -> Made:
        """A tuple, place by place."""
        made = self.making(node, what)
        if made.rows is None:
            made.rows = [set() for _ in places]
        for have, new in zip(made.rows, places, strict=True):
            self.more(have, new)
        return made

    def more(self, have: Values, new: Iterable[Value]) -> None:
        """Add to what there may be."""
        size = len(have)
        have.update(new)
        if len(have) > size:
            self.walk.version += 1

    # --- the whole function

    def run(self) -> Values:
        """What the function may return; goes through it until that does not grow any more."""
        body = self.tree.body
        if isinstance(self.tree, ast.AsyncFunctionDef):
            raise self.stop("is an 'async' function")
        for _ in range(_PASSES):
            self.version = self.walk.version
            if isinstance(body, list):
                self.block(body)
            else:
                self.more(self.returns, self.value(body))
            if self.walk.version == self.version:
                return self.returns
        raise self.stop("is too entangled to be checked")

    # --- statements

    def block(self, body: list[ast.stmt]) -> None:
        """Statements one after the other."""
        for statement in body:
            self.walk.count(self)
            self.at = statement
            method: Callable[[Any], None] | None = getattr(
                self, f"do_{type(statement).__name__}", None
            )
            if method is None:
                raise self.stop(f"has {_words(statement)}", statement)
            method(statement)

    def do_Pass(self, node: ast.Pass) -> None: ...  # noqa: N802
    def do_Break(self, node: ast.Break) -> None: ...  # noqa: N802
    def do_Continue(self, node: ast.Continue) -> None: ...  # noqa: N802
    def do_Raise(self, node: ast.Raise) -> None: ...  # noqa: N802  # as it ends everything

    def do_Expr(self, node: ast.Expr) -> None:  # noqa: N802
        self.value(node.value)

    def do_Return(self, node: ast.Return) -> None:  # noqa: N802
        if node.value is not None:
            self.more(self.returns, self.value(node.value))

    def do_Assert(self, node: ast.Assert) -> None:  # noqa: N802
        self.value(node.test)

    def do_Assign(self, node: ast.Assign) -> None:  # noqa: N802
        found = self.value(node.value)
        for target in node.targets:
            self.assign(target, found)

    def do_AnnAssign(self, node: ast.AnnAssign) -> None:  # noqa: N802
        if node.value is not None:
            self.assign(node.target, self.value(node.value))

    def do_AugAssign(self, node: ast.AugAssign) -> None:  # noqa: N802
        more = self.value(node.value)
        name = node.target.id if isinstance(node.target, ast.Name) else None
        if isinstance(node.target, ast.Subscript):
            found = self.is_Subscript(node.target)
            self.store(node.target, more)
        elif name is None:
            return self.assign(node.target, more)
        else:
            found = self.look_up(name)
        for value in found:
            if isinstance(value, Known) and not (
                values.is_constant(value.thing) or isinstance(value.thing, Tensor)
            ):
                raise self.stop(f"changes {_text(node.target)}, which it did not make")
            if isinstance(value, Made):
                self.more(value.held, self.items(more))
        if name is not None:
            self.bind(name, {*found, COMPUTED})

    def do_If(self, node: ast.If) -> None:  # noqa: N802
        self.value(node.test)
        self.block(node.body)
        self.block(node.orelse)

    def do_For(self, node: ast.For) -> None:  # noqa: N802
        self.assign(node.target, self.items(self.value(node.iter)))
        self.block(node.body)
        self.block(node.orelse)

    def do_With(self, node: ast.With) -> None:  # noqa: N802
        for item in node.items:
            call = item.context_expr
            found = self.value(call.func) if isinstance(call, ast.Call) else set()
            if not found or not all(
                isinstance(v, Known)
                and values.is_ours(v.thing)
                and getattr(v.thing, "__name__", "") in values.CONTEXTS
                for v in found
            ):
                raise self.stop(f"has 'with {_text(call)}'", call)
            for argument in call.args:  # type: ignore[attr-defined]
                self.value(argument)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, {COMPUTED})
        self.block(node.body)

    def do_Delete(self, node: ast.Delete) -> None:  # noqa: N802
        for target in node.targets:
            if not isinstance(target, ast.Name):
                raise self.stop(f"deletes {_text(target)}", target)

    def do_FunctionDef(self, node: ast.FunctionDef) -> None:  # noqa: N802
        if node.decorator_list:
            raise self.stop(f"decorates '{node.name}'", node)
        self.bind(node.name, {self.inner(node)})

    def inner(self, node: Any) -> Inner:
        """A function inside; the same one each time."""
        found = self.walk.inner.setdefault((self, node), Inner(node, self))
        defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        for default in defaults:
            self.value(default)
        return found

    # --- targets

    def assign(self, target: ast.expr, found: Values) -> None:
        """Names, rows of names, and places of what was made here."""
        if isinstance(target, ast.Name):
            self.bind(target.id, found)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.unpack(target.elts, found)
        elif isinstance(target, ast.Starred):
            made = self.making(target)
            self.more(made.held, found)
            self.assign(target.value, {made})
        elif isinstance(target, ast.Subscript):
            self.store(target, found)
        else:
            raise self.stop(f"sets {_text(target)}", target)

    def unpack(self, targets: list[ast.expr], found: Values) -> None:
        """What comes place by place goes to its place."""
        starred = any(isinstance(target, ast.Starred) for target in targets)
        for value in found:
            rows = value.rows if isinstance(value, Made) else None
            if rows is not None and len(rows) == len(targets) and not starred:
                for target, one in zip(targets, rows, strict=True):
                    self.assign(target, set(one))
            else:
                for target in targets:
                    self.assign(target, self.items({value}))
        if not found:
            for target in targets:
                self.assign(target, set())

    def store(self, target: ast.Subscript, found: Values) -> None:
        """`made[index] = value`."""
        self.value(target.slice)
        owners = self.value(target.value)
        for value in owners:
            if isinstance(value, Made):
                for have in (value.held, *(value.rows or ())):
                    self.more(have, found)
            elif value is not COMPUTED and not (value is GIVEN and COMPUTED in owners):
                raise self.stop(f"changes {_text(target.value)}, which it did not make", target)

    # --- expressions

    def value(self, node: ast.expr) -> Values:
        """What an expression may be."""
        self.walk.count(self)
        method: Callable[[Any], Values] | None = getattr(self, f"is_{type(node).__name__}", None)
        if method is None:
            raise self.stop(f"has {_words(node)}", node)
        before, self.at = self.at, node
        found = method(node)
        self.at = before
        return found

    def all(self, nodes: Iterable[ast.expr | None]) -> Values:
        """What is computed of these."""
        for node in nodes:
            if node is not None:
                self.value(node)
        return {COMPUTED}

    def is_Constant(self, node: ast.Constant) -> Values:  # noqa: N802
        return {Known(node.value)} if node.value is None else {COMPUTED}

    def is_Name(self, node: ast.Name) -> Values:  # noqa: N802
        return set(self.look_up(node.id))

    def is_BinOp(self, node: ast.BinOp) -> Values:  # noqa: N802
        return self.joined(node, self.value(node.left), self.value(node.right))

    def joined(self, node: ast.AST, left: Values, right: Values) -> Values:
        """A sum of rows is a row of what they hold; all else is a result."""
        held = [v for v in (*left, *right) if isinstance(v, Made) or _is_row(v)]
        if not held:
            return {COMPUTED}
        made = self.making(node)
        self.more(made.held, self.items(set(held)))
        return {made, COMPUTED}

    def is_UnaryOp(self, node: ast.UnaryOp) -> Values:  # noqa: N802
        return self.all([node.operand])

    def is_BoolOp(self, node: ast.BoolOp) -> Values:  # noqa: N802
        return set().union(*map(self.value, node.values))

    def is_Compare(self, node: ast.Compare) -> Values:  # noqa: N802
        return self.all([node.left, *node.comparators])

    def is_IfExp(self, node: ast.IfExp) -> Values:  # noqa: N802
        self.value(node.test)
        return self.value(node.body) | self.value(node.orelse)

    def is_JoinedStr(self, node: ast.JoinedStr) -> Values:  # noqa: N802
        return self.all(node.values)

    def is_FormattedValue(self, node: ast.FormattedValue) -> Values:  # noqa: N802
        return self.all([node.value, node.format_spec])

    def is_Slice(self, node: ast.Slice) -> Values:  # noqa: N802
        return self.all([node.lower, node.upper, node.step])

    def is_Starred(self, node: ast.Starred) -> Values:  # noqa: N802
        return self.items(self.value(node.value))

    def is_NamedExpr(self, node: ast.NamedExpr) -> Values:  # noqa: N802
        found = self.value(node.value)
        self.bind(node.target.id, found)
        return found

    def is_Lambda(self, node: ast.Lambda) -> Values:  # noqa: N802
        return {self.inner(node)}

    def is_Tuple(self, node: ast.Tuple) -> Values:  # noqa: N802
        if any(isinstance(item, ast.Starred) for item in node.elts):
            return self.is_List(node)
        return {self.row(node, "", *map(self.value, node.elts))}

    def is_List(self, node: ast.List | ast.Set | ast.Tuple) -> Values:  # noqa: N802
        made = self.making(node)
        for item in node.elts:
            self.more(made.held, self.value(item))
        return {made}

    is_Set = is_List  # noqa: N815

    def is_Dict(self, node: ast.Dict) -> Values:  # noqa: N802
        made = self.making(node)
        for key, item in zip(node.keys, node.values, strict=True):
            found = self.value(item)
            self.more(made.held, self.items(found) if key is None else found)
            if key is not None:
                self.value(key)
        return {made}

    def is_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Values:  # noqa: N802
        self.generators(node.generators)
        made = self.making(node)
        self.more(made.held, self.value(node.elt))
        return {made}

    is_SetComp = is_GeneratorExp = is_ListComp  # noqa: N815

    def is_DictComp(self, node: ast.DictComp) -> Values:  # noqa: N802
        self.generators(node.generators)
        self.value(node.key)
        made = self.making(node)
        self.more(made.held, self.value(node.value))
        return {made}

    def generators(self, generators: list[ast.comprehension]) -> None:
        """The loops of a comprehension."""
        for loop in generators:
            if loop.is_async:
                raise self.stop("has an 'async' loop")
            self.assign(loop.target, self.items(self.value(loop.iter)))
            self.all(loop.ifs)

    def is_Subscript(self, node: ast.Subscript) -> Values:  # noqa: N802
        found, part = self.value(node.value), node.slice
        self.value(part)
        index = _index(part)
        result: Values = set()
        for value in found:
            if isinstance(value, Made) and isinstance(part, ast.Slice):
                made = self.making(node)
                self.more(made.held, value.all())
                result.add(made)
            elif isinstance(value, Made):
                rows = value.rows
                fits = rows is not None and index is not None and -len(rows) <= index < len(rows)
                result |= rows[index] if fits else value.all()  # type: ignore[index]
            elif _is_row(value) or _is_container(value):
                held = self.items({value}, values=True)
                if isinstance(part, ast.Slice):
                    made = self.making(node)
                    self.more(made.held, held)
                    held = {made}
                result |= held
            elif isinstance(value, (Known, Sort)):
                result |= self.walk.part_of(self, value, node)
            else:
                raise self.stop(f"takes a part of {_text(node.value)}", node)
        return result

    def is_Attribute(self, node: ast.Attribute) -> Values:  # noqa: N802
        found = self.value(node.value)
        name = self.mangled(node.attr)
        result: Values = set()
        for value in found:
            result |= self.walk.attribute(self, value, name, _text(node))
        return result

    def mangled(self, name: str) -> str:
        """Names that begin with two underscores belong to the class in which they are written."""
        parts = self.function.__qualname__.split(".")
        if not name.startswith("__") or name.endswith("__") or len(parts) < 2:
            return name
        return f"_{parts[-2].lstrip('_')}{name}"

    def is_Call(self, node: ast.Call) -> Values:  # noqa: N802
        given = [self.value(argument) for argument in node.args]
        named = {keyword.arg or "": self.value(keyword.value) for keyword in node.keywords}
        loose = any(isinstance(a, ast.Starred) for a in node.args) or "" in named
        if isinstance(node.func, ast.Attribute):
            owners = self.value(node.func.value)
            name = self.mangled(node.func.attr)
            self.at = node
            return self.walk.call_methods(self, owners, name, Call(given, named, loose, node))
        callees = self.value(node.func)
        self.at = node
        return self.walk.call(self, callees, Call(given, named, loose, node))

    # --- what one comes by in a loop

    def items(self, found: Values, values: bool = False) -> Values:
        """What these hold; of a dict its values if asked, and otherwise its keys."""
        result: Values = set()
        for value in found:
            if isinstance(value, Made):
                result |= value.all()
            elif isinstance(value, (Known, Super, Method, Inner)):
                result |= self.walk.items_of(self, value, values)
            else:
                result.add(GIVEN if value is GIVEN else COMPUTED)
        return result


def _bound_names(tree: Tree) -> set[str]:
    """The names that a function binds, but for those of functions inside of it."""
    arguments = tree.args
    found = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}
    body = tree.body if isinstance(tree.body, list) else [tree.body]
    todo: list[ast.AST] = [*body]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(node))
    return found


def _is_row(value: Value) -> bool:
    return isinstance(value, Known) and isinstance(value.thing, (list, tuple, dict, set, frozenset))


def _is_container(value: Value) -> bool:
    if not isinstance(value, Known) or not isinstance(value.thing, Module):
        return False
    return hasattr(type(value.thing), "__getitem__")


def _index(node: ast.expr) -> int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inside = _index(node.operand)
        return None if inside is None else -inside
    constant = isinstance(node, ast.Constant) and type(node.value) is int
    return node.value if constant else None  # type: ignore[attr-defined]


_WORDS = {
    "While": "a 'while' loop", "Try": "a 'try'", "TryStar": "a 'try'", "Global": "a 'global'",
    "Nonlocal": "a 'nonlocal'", "Import": "an 'import'", "ImportFrom": "an 'import'",
    "Yield": "a 'yield'", "YieldFrom": "a 'yield'", "Await": "an 'await'",
    "ClassDef": "a class inside", "Match": "a 'match'", "AsyncFor": "an 'async' loop",
    "AsyncWith": "an 'async with'", "AsyncFunctionDef": "an 'async' function",
}  # fmt: skip


def _words(node: ast.AST) -> str:
    return _WORDS.get(type(node).__name__, f"something that is not known ({type(node).__name__})")


def _text(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
