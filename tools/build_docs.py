"""Builds the site of docs/: `python tools/build_docs.py [FOLDER]`, by default into build/site.

What belongs here: the pages of the reference that follow from the code (configuration, command line, errors,
gates, Dagster's names), made anew by each build so that none can drift, and the call of the generator. What
does not: prose (docs/).

The generator is Zensical, the successor of Material for MkDocs by the same authors (MIT): in its strict mode
a link to a page or an anchor that is not there ends the build. Nothing is fetched.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).parents[1]


def configuration() -> str:
    """Every key of the configuration file: type, default, meaning."""
    from rag_pipelines.config.schema import json_schema

    schema = json_schema()
    definitions = schema["$defs"]
    order: list[str] = []

    def visit(node: Any) -> None:
        """Collect definitions in the order in which a reader meets them."""
        for name in re.findall(r"#/\$defs/(\w+)", str(node)):
            if name not in order:
                order.append(name)
                visit(definitions[name])

    visit(schema["properties"])
    lines = [
        "# Configuration",
        "",
        "Every key of the file, as `rag-pipelines config schema` prints it for editors. How the file is found "
        "and how values refer to the environment is told in [Add a source](../how-to/add-a-source.md).",
        "Unknown keys are refused. Durations are written `90m`, `24h`, `7d`; sizes `200MB`, `2GiB`.",
        "",
        "## The file { #file }",
        "",
        *_fields(schema),
    ]
    for name in order:
        definition = definitions[name]
        lines += ["", f"## {name} {{ #{name.lower()} }}", ""]
        if definition.get("description"):
            lines += [_prose(definition["description"]), ""]
        lines += _fields(definition)
    return "\n".join(lines) + "\n"


def _fields(definition: dict[str, Any]) -> list[str]:
    properties = definition.get("properties", {})
    if not properties:
        return [f"No keys; type {_type(definition)}."]
    required = set(definition.get("required", ()))
    branches = [one["then"]["properties"] for one in definition.get("allOf", ()) if "then" in one]
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in properties.items():
        default = "required" if key in required else _default(field)
        by_kind = ", ".join(_type(branch[key]) for branch in branches if key in branch)
        rows.append(f"| `{key}` | {by_kind or _type(field)} | {default} | {_cell(field.get('description', ''))} |")
    return rows


def _type(field: dict[str, Any]) -> str:
    """A field's type in words, with its bounds, linked where it is a section of its own."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            found = [_type(one) for one in field[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(found)) or "anything"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        values = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
        known = [_type(one) for one in values if isinstance(one, dict)]
        return f"names, each with {known[0]}" if known else "mapping"
    kind = field.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    if field.get("format") == "password":
        return "secret"
    bounds = [
        f"{sign} {field[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in field
    ]
    return f"{words} {', '.join(bounds)}".strip()


def _default(field: dict[str, Any]) -> str:
    if "default" not in field or field["default"] is None:
        return ""
    if isinstance(field["default"], dict) and "$ref" in field:
        return "see there"
    text = str(field["default"]) if field["default"] not in ("", [], {}, ()) else "empty"
    return f"`{text}`" if text != "empty" else text


def commands() -> str:
    """Every command with its arguments and options, and the global options before them."""
    from rag_pipelines.cli.main import app

    root = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "`rag-pipelines COMMAND --help` says the same. Where a command has `--json`, it prints one JSON value on "
        "standard output; messages for people go to standard error. How a command ends is told in "
        "[Exit codes and errors](exit-codes-and-errors.md).",
        "",
        "## Global options { #global }",
        "",
        *_parameters(root, ""),
    ]
    for path, command in _leaves(root, ()):
        name = " ".join(path)
        lines += ["", f"## {name} {{ #{'-'.join(path)} }}", "", _prose(command.help or ""), ""]
        lines += _parameters(command, name)
    return "\n".join(lines) + "\n"


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if not children:
        yield path, command
        return
    for name, child in children.items():
        yield from _leaves(child, (*path, name))


def _parameters(command: Any, name: str) -> list[str]:
    """The usage of a command and a table of its parameters, from its own help."""
    context = command.context_class(command, info_name=f"rag-pipelines {name}".strip())
    usage = re.sub(r"\[(\[\w+\](?:\.\.\.)?)\](?:\.\.\.)?", r"\1", command.get_usage(context).removeprefix("Usage: "))
    records = filter(None, (one.get_help_record(context) for one in command.params if not one.hidden))
    rows = [f"| {_cell(f'`{names}`')} | {_cell(_bounds(help))} |" for names, help in records]
    table = ["| argument or option | meaning |", "|---|---|", *rows] if rows else []
    return ["```text", usage.replace("{", "").replace("}", ""), "```", "", *table]


def _bounds(help: str) -> str:
    """Help whose remarks in brackets read as a sentence of their own."""
    return re.sub(r"\s*\[([^\]]+)\]$", lambda found: f" ({found[1]})", help).strip()


def exit_codes_and_errors() -> str:
    """Exit codes, the error tree, and what each error leads to."""
    from rag_pipelines import errors
    from rag_pipelines.cli.invocation import EXIT_CODES, ExitCode

    source = inspect.getsource(ExitCode)
    meanings = dict(re.findall(r'(\w+) = \d+\n\s+"""(.*?)"""', source))
    rows = [f"| {code.value} | `{code.name}` | {_cell(meanings.get(code.name, 'Done.'))} |" for code in ExitCode]
    tree = re.search(r"^    RagError\n.*?(?=^\S)", errors.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert tree is not None, "the docstring of rag_pipelines/errors.py draws the tree"
    classes = [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, errors.RagError) and one is not errors.RagError
    ]
    named = []
    for one in classes:
        code = next(code for kind, code in EXIT_CODES if issubclass(one, kind))
        stored = f"`{one.status}`" if issubclass(one, errors.DocumentError) else ""
        ends = "" if issubclass(one, errors.DocumentError) else str(code.value)
        summary = _cell((one.__doc__ or "").strip().splitlines()[0])
        named.append(f"| `{one.__name__}` | {summary} | {ends} | {stored} |")
    return "\n".join(
        [
            "# Exit codes and errors",
            "",
            "## Exit codes { #exit-codes }",
            "",
            "| code | name | meaning |",
            "|---|---|---|",
            *rows,
            "",
            "## The error tree { #tree }",
            "",
            "Every error that leaves a public function is one of these (`rag_pipelines.errors`).",
            "",
            "```text",
            *(line[4:] for line in tree[0].rstrip().splitlines()),
            "```",
            "",
            "## Every error { #errors }",
            "",
            "An error of one document ends no command: the document goes into quarantine under the word of the "
            "last column, and the command ends with 3. The others end it with the exit code given.",
            "",
            "| error | says | exit code | status in quarantine |",
            "|---|---|---|---|",
            *named,
            "",
        ]
    )


def gates_and_checks() -> str:
    """The gates of a version and the quality expectations of the stored data."""
    from rag_pipelines.index.gate_results import GATE_MEANINGS, INTEGRITY
    from rag_pipelines.quality import suites

    gates = [
        f"| `{name}` | {_cell(_first_paragraph(meaning))} | {'no' if name in INTEGRITY else 'yes'} |"
        for name, meaning in GATE_MEANINGS.items()
    ]
    lines = [
        "# Gates and checks",
        "",
        "## Gates { #gates }",
        "",
        "Stored with each version and read again by the promotion. What may be overridden takes a name and a "
        "reason ([Promote and roll back](../how-to/promote-and-roll-back.md)).",
        "",
        "| gate | passes when | may be overridden |",
        "|---|---|---|",
        *gates,
        "",
        "A candidate that was broken off as a canary keeps the failed gate `canary`, which may be overridden too.",
        "",
        "## Quality suites { #suites }",
        "",
        "Great Expectations suites that run inside Postgres over what is stored of a source. A failed blocking "
        "expectation stops its run and fails the gate `source_quality`.",
    ]
    for suite in (suites.documents_suite(), suites.chunks_suite(), suites.vectors_suite()):
        lines += [
            "",
            f"### {suite.name} {{ #suite-{suite.name} }}",
            "",
            "| expectation | says | blocking |",
            "|---|---|---|",
            *(f"| `{one.name}` | {_cell(one.description)} | {'yes' if one.blocking else 'no'} |" for one in suite.expectations),
        ]
    return "\n".join(lines) + "\n"


def dagster() -> str:
    """Assets, checks, jobs, schedules and sensors of the demo's configuration."""
    from rag_pipelines.config import DEMO_CONFIG, load_config
    from rag_pipelines.orchestration.build import build_definitions

    definitions = build_definitions(settings=load_config(DEMO_CONFIG, {}))
    graph = definitions.resolve_asset_graph()
    assets = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda one: one.to_user_string()):
        node = graph.get(key)
        assets.append(f"| `{key.to_user_string()}` | `{node.group_name}` | {_cell(_first_paragraph(node.description or ''))} |")
    checks = [
        f"| `{key.asset_key.to_user_string()}` | `{key.name}` | {_cell(_first_paragraph(graph.get(key).description or ''))} | "
        f"{'yes' if graph.get(key).blocking else 'no'} |"
        for key in sorted(graph.asset_check_keys, key=lambda one: (one.asset_key.to_user_string(), one.name))
    ]

    def rows(found: Any, describe: Callable[[Any], str | None]) -> list[str]:
        return [f"| `{one.name}` | {_cell(describe(one) or '')} |" for one in sorted(found, key=lambda one: one.name)]

    return "\n".join(
        [
            "# Dagster: assets, checks, jobs, schedules, sensors",
            "",
            "As built for the demo's configuration (sources `acme-sensors` and `brightwater`, index `handbook`). "
            "Yours has two assets for each of your indexes, and a schedule for each source that has one.",
            "",
            "## Assets { #assets }",
            "",
            "| asset | group | what it is |",
            "|---|---|---|",
            *assets,
            "",
            "## Asset checks { #checks }",
            "",
            "| asset | check | says | blocking |",
            "|---|---|---|---|",
            *checks,
            "",
            "## Jobs { #jobs }",
            "",
            "| job | does |",
            "|---|---|",
            *rows(definitions.jobs, lambda one: one.description),
            "",
            "## Schedules { #schedules }",
            "",
            "All begin stopped.",
            "",
            "| schedule | does |",
            "|---|---|",
            *rows(definitions.schedules, lambda one: f"{one.description} (`{one.cron_schedule}`)"),
            "",
            "## Sensors { #sensors }",
            "",
            "Those that begin running only tidy up after runs that failed or were cancelled.",
            "",
            "| sensor | does |",
            "|---|---|",
            *rows(definitions.sensors, lambda one: f"{one.description} Begins {one.default_status.value.lower()}."),
            "",
        ]
    )


def _first_paragraph(text: str) -> str:
    return inspect.cleandoc(text).partition("\n\n")[0]


def _prose(text: str) -> str:
    """Text of a docstring as Markdown: its double back-ticks as single ones."""
    return inspect.cleandoc(text).replace("``", "`")


def _cell(text: str) -> str:
    """Text that fits into one cell of a table."""
    return _prose(text).replace("\n", " ").replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration,
    "reference/commands.md": commands,
    "reference/exit-codes-and-errors.md": exit_codes_and_errors,
    "reference/gates-and-checks.md": gates_and_checks,
    "reference/dagster.md": dagster,
}
"""Where each page stands in the site, and what makes it."""


def build(target: Path) -> Path:
    """Build the site below `target`: pages in ``docs``, the finished site in ``site``, which is returned.

    Raises:
        subprocess.CalledProcessError: the generator refused; what is wrong stands on standard error.
    """
    pages = target / "docs"
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages)
    for place, page in PAGES.items():
        (pages / place).write_text(page(), encoding="utf-8")
    shutil.copy(ROOT / "mkdocs.yml", target / "mkdocs.yml")
    program = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    subprocess.run(program, cwd=target, check=True, env={**os.environ, "NO_COLOR": "1"})
    return target / "site"


if __name__ == "__main__":
    try:
        site = build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve())
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    print(f"open {site / 'index.html'}")
