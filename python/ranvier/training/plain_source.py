"""The syntax of a function, as far as it is sure to be what runs."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

Tree = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_KINDS = 0xFF  # of a code object's flags: not what __future__ imports add
_found: dict[CodeType, Tree] = {}
_MOST = 1024


def tree_of(function: FunctionType) -> Tree | None:
    """The syntax tree of a function; None where there is no source, or another one by now.

    The source is compiled again and compared with what runs, as files change and decorators and
    tools put other code in the place of what is written.
    """
    code = function.__code__
    tree = _found.get(code)
    if tree is None:
        linecache.checkcache(code.co_filename)
        lines = linecache.getlines(code.co_filename, function.__globals__)
        tree = _search("".join(lines), code)
        if tree is not None:
            if len(_found) >= _MOST:
                _found.clear()
            _found[code] = tree
    return tree


@functools.lru_cache(maxsize=8)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _search(source: str, code: CodeType) -> Tree | None:
    module = _parsed(source)
    if module is None:
        return None
    line = code.co_firstlineno
    for statement in module.body:
        if not _first_line(statement) <= line <= (statement.end_lineno or 0):
            continue
        trees = [node for node in ast.walk(statement) if _is_at(node, code)]
        whole = ast.Module(body=[*_imports(module), statement], type_ignores=[])
        compiled = compile(whole, code.co_filename, "exec", dont_inherit=True)
        same = [other for other in _codes(compiled) if _alike(other, code)]
        if len(trees) == len(same) == 1:
            found: Any = trees[0]
            return found  # type: ignore[no-any-return]
    return None


def _imports(module: ast.Module) -> Iterator[ast.stmt]:
    """All that is imported for the whole file: the compiler looks at these names."""
    todo: list[ast.AST] = [*reversed(module.body)]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            todo.extend(reversed(list(ast.iter_child_nodes(node))))


def _first_line(node: Any) -> int:
    first: int = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    return first


def _is_at(node: ast.AST, code: CodeType) -> bool:
    if not isinstance(node, Tree):
        return False
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    return name == code.co_name and _first_line(node) == code.co_firstlineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _alike(a: Any, b: Any) -> bool:
    """Whether two code objects do the same."""
    if not isinstance(a, CodeType) or not isinstance(b, CodeType):
        return type(a) is type(b) and (a == b or a is b or repr(a) == repr(b))
    return (
        a.co_firstlineno == b.co_firstlineno
        and a.co_name == b.co_name
        and a.co_code == b.co_code
        and a.co_names == b.co_names
        and a.co_varnames == b.co_varnames
        and a.co_freevars == b.co_freevars
        and a.co_cellvars == b.co_cellvars
        and a.co_flags & _KINDS == b.co_flags & _KINDS
        and len(a.co_consts) == len(b.co_consts)
        and all(map(_alike, a.co_consts, b.co_consts))
    )
