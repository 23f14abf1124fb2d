"""Lists the public API: every name that users may rely on, with its signature.

    python -m tools.public_api            write the listing
    python -m tools.public_api --check    fail when it is not what the code has

Read from the source, so that no optional library has to be there. A name or signature that leaves the listing
breaks somebody's code: it belongs in the changelog under Removed or Changed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LISTING = ROOT / "docs" / "reference" / "public-api.txt"

MODULES = (
    "rag_pipelines",
    "rag_pipelines.adapters.haystack",
    "rag_pipelines.adapters.langchain",
    "rag_pipelines.adapters.llamaindex",
    "rag_pipelines.adapters.mcp",
    "rag_pipelines.adapters.passage",
    "rag_pipelines.client.client",
    "rag_pipelines.client.models",
    "rag_pipelines.config",
    "rag_pipelines.connectors.base",
    "rag_pipelines.definitions",
    "rag_pipelines.errors",
    "rag_pipelines.index.freshness",
    "rag_pipelines.index.gate_results",
    "rag_pipelines.index.promotion",
    "rag_pipelines.index.versions",
    "rag_pipelines.model",
    "rag_pipelines.orchestration.build",
    "rag_pipelines.pipeline",
    "rag_pipelines.progress",
    "rag_pipelines.query.asynchronous",
    "rag_pipelines.query.context",
    "rag_pipelines.query.filters",
    "rag_pipelines.query.hits",
    "rag_pipelines.query.search",
    "rag_pipelines.runtime",
    "rag_pipelines.store.database",
    "rag_pipelines.store.embedded",
    "rag_pipelines.sync.freshness",
    "rag_pipelines.sync.plan",
    "rag_pipelines.sync.report",
    "rag_pipelines.sync.scope",
    "rag_pipelines.verification.drift",
)
"""What is public: the names of these modules that do not begin with an underscore."""

ONLY = {
    "rag_pipelines.index.freshness": {"IndexFreshness"},
    "rag_pipelines.index.gate_results": {"Gate"},
    "rag_pipelines.index.promotion": {"Override"},
    "rag_pipelines.index.versions": {"Version"},
    "rag_pipelines.orchestration.build": {"build_definitions"},
    "rag_pipelines.pipeline": {"open", "Pipeline", "Source", "Index"},
    "rag_pipelines.progress": {"Progress"},
    "rag_pipelines.query.search": {"Searcher"},
    "rag_pipelines.runtime": {"Runtime", "open_runtime"},
    "rag_pipelines.store.database": {"Database"},
    "rag_pipelines.store.embedded": {"ensure_running"},
    "rag_pipelines.sync.freshness": {"SourceFreshness"},
    "rag_pipelines.sync.plan": {"SyncPlan"},
    "rag_pipelines.sync.report": {"SyncReport"},
    "rag_pipelines.sync.scope": {"Scope"},
    "rag_pipelines.verification.drift": {"Certificate", "Drift"},
}
"""Modules that are public in part."""

INTERNAL = {
    "Database": {
        *("with_server_settings", "at", "connect", "connection", "transaction", "snapshot", "session_url"),
        "migrate_when_used",
    },
    "Index": {"__init__"},
    "Source": {"__init__"},
    "SourceFreshness": {"slot"},
    "SyncReport": {"count", "recount", "reparse", "status", "spend", "miss", "followed_by"},
    "Version": {
        *("of", "storage", "chunker_id", "model_id", "params", "statistics", "spec", "figures"),
        *("watermark", "lease_token"),
    },
}
"""Members that only this project uses, of classes that users hold."""


def listing() -> str:
    """One line a name, in the order of `MODULES` and of the source."""
    lines = [f"{module}.{line}" for module in MODULES for line in _names(module)]
    return "\n".join(lines) + "\n"


def _names(module: str) -> Iterator[str]:
    path = ROOT / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    only = ONLY.get(module)
    for name, line in _members(ast.parse(file.read_text(encoding="utf-8"))):
        if only is None or name in only:
            yield line


def _members(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names of a module, each with what is said of it; of a class also what can be called and read."""
    exported = _exported(tree)
    for node in tree.body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                imported = {
                    alias.name for one in node.body if isinstance(one, ast.ImportFrom) for alias in one.names
                }
                yield from ((name, name) for name in sorted(imported & exported))
            case ast.ImportFrom(names=names):
                for one in names:
                    name = one.asname or one.name
                    if name in exported:
                        yield name, name
            case ast.ClassDef(name=name) if _is_public(name):
                bases = ", ".join(ast.unparse(one) for one in (*node.bases, *node.keywords))
                yield name, f"{name}({bases})"
                for line in _class_members(node):
                    yield name, f"{name}.{line}"
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _is_public(name):
                yield name, _signature(node)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]) if (
                _is_public(name) or name == "__version__"
            ):
                yield name, name


def _class_members(node: ast.ClassDef) -> Iterator[str]:
    internal = INTERNAL.get(node.name, ())
    for one in node.body:
        match one:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.AnnAssign(target=ast.Name(id=name))
            ) if name in internal:
                continue
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if (
                _is_public(name) or name == "__init__"
            ):
                decorators = {ast.unparse(decorator) for decorator in one.decorator_list}
                if decorators & {"property", "cached_property"}:
                    yield f"{name}: {ast.unparse(one.returns) if one.returns else 'Any'}"
                else:
                    yield _signature(one)
            case ast.AnnAssign(target=ast.Name(id=name)) if _is_public(name):
                default = f" = {ast.unparse(one.value)}" if one.value is not None else ""
                yield f"{name}: {ast.unparse(one.annotation)}{default}"
            case ast.Assign(targets=[ast.Name(id=name)]) if _is_public(name):
                yield f"{name} = {ast.unparse(one.value)}"


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{prefix}{node.name}({ast.unparse(node.args)}){returns}"


def _exported(tree: ast.Module) -> set[str]:
    """What a module names in ``__all__``; other names that it imports are not its own."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name != "TYPE_CHECKING"


def main(arguments: list[str]) -> int:
    """Write or check the listing; the exit status."""
    text = listing()
    if "--check" not in arguments:
        LISTING.write_text(text, encoding="utf-8")
        print(f"wrote {LISTING}")
        return 0
    if LISTING.exists() and LISTING.read_text(encoding="utf-8") == text:
        print(f"{LISTING} is current")
        return 0
    print(f"{LISTING} is not what the code has; run: python -m tools.public_api", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
