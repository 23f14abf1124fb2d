"""What one module says, as a digest that comments, formatting, its name and its place do not change.

What belongs here: reading one source as a syntax tree and writing the tree out. What does not: finding
sources and following their imports (`package`).

Left out are comments, formatting, docstrings, and annotations that no program reads: those of variables
outside of classes and of functions without decorators. Imports from the package are taken out; each use
of an imported name is written as a number, and the module says beside its digest where the numbered
names come from. So imports may be sorted anew, and a module that they name may move or be renamed. Where
a name is bound in another way as well, it stays as it is called, and what is imported as it is numbered.

A tree is written out field by field, without what is empty, so that the digest is the same under every
Python that is supported: 3.12 gave functions and classes a list of type parameters, 3.13 leaves empty
lists out of `ast.dump`, and since 3.12 the constant parts of f-strings are cut in another way. Text is
written in ASCII, because which characters `repr` shows as they are depends on Python's Unicode version.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

FORM = 2
"""Counts up when `read_module` says another thing of the same source."""

_SAYS_NOTHING = frozenset({"ctx", "kind", "type_comment", "type_ignores"})

_Import = ast.Import | ast.ImportFrom


class Origin(NamedTuple):
    """Where an imported name comes from: the name in a module, or the module `module.name`.

    `name` is empty where the statement names a module outright.
    """

    module: str
    name: str


class ModuleCode(NamedTuple):
    """What one module says.

    `uses` are the origins of the names that it uses, in the order of the numbers that stand for them;
    `more` are its other imports from the package, sorted; `libraries` are the top-level names of what it
    imports from elsewhere, without the standard library, sorted.
    """

    digest: str
    uses: tuple[Origin, ...]
    more: tuple[Origin, ...]
    libraries: tuple[str, ...]


def digest_of(text: str) -> str:
    """16 hexadecimal digits that stand for `text`."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def read_module(source: bytes, package: str) -> ModuleCode:
    """What a source says; imports from `package` are told apart from all others. Raises `SyntaxError`."""
    reading = _Reading(package)
    reading.survey(ast.parse(source))
    return reading.module()


class _Reading:
    """Reads one tree: first its imports and bound names, then its statements."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._origins: dict[str, set[Origin]] = {}
        self._bound: set[str] = set()
        self._libraries: set[str] = set()
        self._numbers: dict[Origin, int] = {}
        self._numbered: dict[str, Origin] = {}
        self._out: list[str] = []
        self._body: list[ast.stmt] = []

    def survey(self, tree: ast.Module) -> None:
        """Collect what is imported, and which of these names mean one thing in the whole module."""
        self._body = tree.body
        self._collect(tree)
        self._numbered = {
            name: next(iter(origins))
            for name, origins in self._origins.items()
            if len(origins) == 1 and name not in self._bound
        }

    def module(self) -> ModuleCode:
        """The module that was surveyed. Outside imports at its top count as a set, whatever their order."""
        imports = [one for one in self._body if isinstance(one, _Import)]
        outside = [one for one in imports if not self._inside(one)]
        for bound, origin in sorted(pair for one in imports for pair in self._kept_names(one)):
            self._keep(bound, origin)
        self._write_statements((one for one in self._body if one not in imports), in_class=False)
        uses = tuple(self._numbers)
        more = {origin for origins in self._origins.values() for origin in origins} - set(uses)
        libraries = self._libraries - sys.stdlib_module_names
        others = sorted(ast.unparse(one) for one in outside if not _future(one))
        digest = digest_of("\n".join([*others, "".join(self._out)]))
        return ModuleCode(digest, uses, tuple(sorted(more)), tuple(sorted(libraries)))

    def _collect(self, node: ast.AST) -> None:
        match node:
            case ast.If() if _for_types(node):
                for one in node.orelse:
                    self._collect(one)
                return
            case ast.Import() | ast.ImportFrom():
                for bound, origin in self._resolve_import(node):
                    if origin is None:
                        self._bound.add(bound)
                    else:
                        self._origins.setdefault(bound, set()).add(origin)
                return
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                self._bound.add(name)
            case ast.arg(arg=name):
                self._bound.add(name)
            case (
                ast.FunctionDef(name=str(name))
                | ast.AsyncFunctionDef(name=str(name))
                | ast.ClassDef(name=str(name))
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                self._bound.add(name)
        for child in ast.iter_child_nodes(node):
            self._collect(child)

    def _resolve_import(self, node: _Import) -> Iterator[tuple[str, Origin | None]]:
        """What a statement binds, and where that comes from in the package; libraries are noted."""
        if isinstance(node, ast.ImportFrom):
            module, inside = node.module or "", self._inside(node)
            if not inside and not _future(node):
                self._libraries.add(module.partition(".")[0])
            for one in node.names:
                yield one.asname or one.name, Origin(module, one.name) if inside else None
            return
        for one in node.names:
            top = one.name.partition(".")[0]
            if top == self._package:
                yield one.asname or one.name, Origin(one.name, "")
            else:
                self._libraries.add(top)
                yield one.asname or top, None

    def _inside(self, node: _Import) -> bool:
        """Whether a statement imports from the package."""
        if isinstance(node, ast.Import):
            return any(one.name.partition(".")[0] == self._package for one in node.names)
        if node.level:
            raise SyntaxError(f"line {node.lineno}: a relative import; name the package that it is from")
        return (node.module or "").partition(".")[0] == self._package

    def _write_statements(self, body: Iterable[ast.stmt], *, in_class: bool) -> None:
        for one in body:
            match one:
                case ast.Expr(value=ast.Constant()) | ast.Pass():
                    pass
                case ast.If() if _for_types(one):
                    self._write_statements(one.orelse, in_class=in_class)
                case ast.Import() | ast.ImportFrom() if self._inside(one):
                    for bound, origin in self._kept_names(one):
                        self._keep(bound, origin)
                case ast.AnnAssign(target=target, value=value) if not in_class:
                    if value is not None:
                        self._write(ast.Assign(targets=[target], value=value))
                case _:
                    self._write(one, in_class=in_class)

    def _kept_names(self, node: _Import) -> list[tuple[str, Origin]]:
        """The names that a statement imports from the package and that stay as they are called."""
        pairs = self._resolve_import(node)
        return [(bound, origin) for bound, origin in pairs if origin and bound not in self._numbered]

    def _keep(self, bound: str, origin: Origin) -> None:
        self._out.append(f"(import {bound} {self._number(origin)})")

    def _number(self, origin: Origin) -> str:
        return f"#{self._numbers.setdefault(origin, len(self._numbers))}"

    def _write(self, node: ast.AST, *, in_class: bool = False) -> None:
        """Write a node: its class, then its fields that are not empty."""
        out = self._out
        match node:
            case ast.Name(id=name) if name in self._numbered:
                out.append(self._number(self._numbered[name]))
                return
            case ast.Name(id=name):
                out.append(name)
                return
            case ast.Constant(value=value):
                out.append(ascii(value))
                return
            case ast.JoinedStr(values=parts):
                self._write_fstring(parts)
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not node.decorator_list:
                _drop_annotations(node)
        out.append(f"({type(node).__name__}")
        inner = isinstance(node, ast.ClassDef) or (in_class and isinstance(node, ast.If | ast.Try | ast.With))
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or name in _SAYS_NOTHING:
                continue
            out.append(f" {name}=")
            if isinstance(value, list) and isinstance(value[0], ast.stmt):
                self._write_statements(value, in_class=inner)
            else:
                self._write_value(value)
        out.append(")")

    def _write_value(self, value: Any) -> None:
        if isinstance(value, list):
            for one in value:
                self._out.append(",")
                self._write_value(one)
        elif isinstance(value, ast.AST):
            self._write(value)
        else:
            self._out.append(ascii(value))

    def _write_fstring(self, parts: Iterable[ast.expr]) -> None:
        """An f-string, its constant parts joined."""
        self._out.append("(f ")
        text = ""
        for part in parts:
            if isinstance(part, ast.Constant):
                text += str(part.value)
            else:
                self._out.append(ascii(text))
                self._write(part)
                text = ""
        self._out.append(f"{text!a})")


def _drop_annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    node.returns = None
    given = node.args
    for one in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg):
        if one is not None:
            one.annotation = None


def _for_types(node: ast.If) -> bool:
    """Whether it is ``if TYPE_CHECKING``, which never runs."""
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _future(node: _Import) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
