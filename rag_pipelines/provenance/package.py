"""The code that a stage runs: its modules and all that they import inside the package, as one digest.

What belongs here: finding sources, following imports, and remembering what sources say. What does not:
what one source says (`modules`), and which modules a stage begins with (each stage knows its own).

A module stands for itself by what it says, together with what the modules say that define the names it
imports; so a moved or renamed module changes nothing, and a name that comes from another place does.
Imports inside functions are followed; those under ``if TYPE_CHECKING`` are not. The ``__init__`` of a
package counts where names are imported from it.

What a module says is remembered by the hash of its bytes in a file of the user's cache. A process then
reads the sources and parses none; an entry cannot be out of date, and where the file cannot be written
every process parses.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from rag_pipelines.provenance.modules import FORM, ModuleCode, Origin, digest_of, read_module

IGNORED: Mapping[str, str] = {
    "rag_pipelines": "the number of the release",
    "rag_pipelines.stored": "it reads what earlier releases stored; a stage writes its results itself",
    "rag_pipelines.errors": "an error ends a document; of it only a warning about a part can be in another",
    "rag_pipelines.parameters": "it says how a file writes a parameter; the value is in the fingerprint",
    "rag_pipelines.parsing.formats": "the table of formats; what it says of one is the start of its stage",
}
"""Modules that cannot change what a stage gives out, with the reason. They are not followed."""


_SQL = re.compile(
    r"""(?P<nothing>(?:\s|--[^\n]*|/\*.*?\*/)+) | '(?:[^']|'')*' | "[^"]*" | [^\s'"/-]+ | .""",
    re.VERBOSE | re.DOTALL,
)
"""White space and comments, quoted text, and what else there is."""


MOST_REMEMBERED = 500
"""Sources in the file; then only those that were asked for stay, which are some 80 of one release."""


class Code(NamedTuple):
    """The code of a stage: its digest, and the top-level names of the libraries that it imports."""

    digest: str
    libraries: tuple[str, ...]


class Package:
    """The sources of a package.

    Args:
        root: its folder.
        name: what it is called in imports.
        ignored: modules that are not followed.
        memory: the file that remembers what sources say; None: nothing outlives this object.
    """

    def __init__(
        self, root: Path, name: str, ignored: Iterable[str] = (), memory: Path | None = None
    ) -> None:
        self._root, self._name, self._ignored = root, name, frozenset(ignored)
        self._memory = _Memory(memory)
        self._sources: dict[str, _ModuleSource | None] = {}
        self._codes: dict[str, ModuleCode] = {}
        self._links: dict[str, str] = {}
        self._targets: dict[str, list[str]] = {}

    def code_of(
        self, modules: Iterable[str], *, alone: Iterable[str] = (), texts: Iterable[str] = ()
    ) -> Code:
        """The code that is reached from `modules`.

        Args:
            modules: dotted names.
            alone: modules of which their own statements count and their imports are not followed.
            texts: code in another language, which counts as it stands.

        Raises:
            RuntimeError: a module has no source here.
        """
        members = self.members(modules)
        linked = {self._link(module) for module in (*members, *alone)}
        libraries = {name for module in members for name in self._code(module).libraries}
        self._memory.save()
        return Code(digest_of("\n".join([*sorted(linked), *texts])), tuple(sorted(libraries)))

    def members(self, modules: Iterable[str]) -> list[str]:
        """The dotted names of `modules` and of all that they reach."""
        reached: dict[str, None] = {}
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module not in reached and module not in self._ignored:
                reached[module] = None
                waiting += self._imported_modules(module)
        return list(reached)

    def source_of(self, module: str) -> bytes:
        """The source of a module. Raises `RuntimeError` where there is none."""
        found = self._source(module)
        if found is None:
            raise RuntimeError(
                f"{self._root} holds no source of {module}; fingerprints of stages are made of the sources, "
                "so install the package with them"
            )
        return found.text

    def _imported_modules(self, module: str) -> list[str]:
        """The modules that a module imports names from."""
        if module not in self._targets:
            code = self._code(module)
            self._targets[module] = [self._target(origin)[0] for origin in (*code.uses, *code.more)]
        return self._targets[module]

    def _link(self, module: str) -> str:
        """What a module says and what its imported names mean."""
        if module not in self._links:
            code = self._code(module)
            uses, more = map(self._meaning, code.uses), sorted(map(self._meaning, code.more))
            self._links[module] = digest_of(repr([code.digest, list(uses), more]))
        return self._links[module]

    def _meaning(self, origin: Origin) -> tuple[str, str]:
        module, name = self._target(origin)
        return ("" if module in self._ignored else self._code(module).digest, name)

    def _target(self, origin: Origin) -> tuple[str, str]:
        """The module that an origin means and the name in it, which is empty where the module is meant."""
        outer, inner = self._source(origin.module), f"{origin.module}.{origin.name}"
        if origin.name and (outer is None or outer.is_package) and self._source(inner):
            return inner, ""
        return origin.module, origin.name

    def _code(self, module: str) -> ModuleCode:
        if module not in self._codes:
            self._codes[module] = self._memory.read(self.source_of(module), self._name)
        return self._codes[module]

    def _source(self, module: str) -> _ModuleSource | None:
        """The source of a module; None where there is no such module."""
        if module not in self._sources:
            path = os.path.join(self._root, *module.split(".")[1:])
            self._sources[module] = None
            for file in (os.path.join(path, "__init__.py"), f"{path}.py"):
                with suppress(OSError), open(file, "rb") as source:
                    self._sources[module] = _ModuleSource(
                        source.read(), is_package=file.endswith("__init__.py")
                    )
                    break
        return self._sources[module]


class _ModuleSource(NamedTuple):
    text: bytes
    is_package: bool


@cache
def plain_sql(text: str) -> str:
    """SQL without its comments, and white space outside of quotes as one space."""
    parts = _SQL.finditer(text)
    return "".join(" " if one["nothing"] else one[0] for one in parts).strip()


@cache
def this_package() -> Package:
    """The package that this module is part of, read at most once a process."""
    root = Path(__file__).resolve().parent.parent
    return Package(root, root.name, IGNORED, _cache_folder() / f"code-{FORM}.json")


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rag-pipelines"


class _Memory:
    """What sources say, by the hash of their bytes, kept in a file."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._kept: dict[str, ModuleCode] | None = None
        self._asked: dict[str, ModuleCode] = {}
        self._changed = False

    def read(self, source: bytes, package: str) -> ModuleCode:
        """What a source says, as it was remembered or read now."""
        if self._kept is None:
            self._kept = self._load()
        key = sha256(source).hexdigest()[:32]
        if key not in self._kept:
            self._kept[key] = read_module(source, package)
            self._changed = True
        self._asked[key] = self._kept[key]
        return self._kept[key]

    def save(self) -> None:
        """Write what is new, all at once or not at all."""
        if not self._changed or self._file is None:
            return
        self._changed = False
        kept = self._kept if len(self._kept or ()) <= MOST_REMEMBERED else self._asked
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._file.parent, prefix=".code-")
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(kept))
            os.replace(temporary, self._file)

    def _load(self) -> dict[str, ModuleCode]:
        if self._file is not None:
            with suppress(OSError, msgspec.MsgspecError):
                return msgspec.json.decode(self._file.read_bytes(), type=dict[str, ModuleCode])
        return {}
