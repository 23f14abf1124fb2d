"""Builds the site of docs/: `python -m tools.build_docs [FOLDER]`, by default into build/site.

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

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
        "Every key of the file, as `rag-pipelines config schema` prints it for editors. [Add a "
        "source](../how-to/add-a-source.md#file) says how the file is found and how values refer to the "
        "environment. Unknown keys are refused. Durations are written `90m`, `24h`, `7d`; sizes `200MB`, "
        "`2GiB`.",
        "",
        "## The file { #file }",
        "",
        *_fields(schema),
    ]
    for name in order:
        lines += ["", f"## {name} {{ #{name.lower()} }}", ""]
        if description := definitions[name].get("description"):
            lines += [_prose(description), ""]
        lines += _fields(definitions[name])
    return "\n".join(lines) + "\n"


def _fields(definition: dict[str, Any]) -> list[str]:
    required = set(definition.get("required", ()))
    branches = [one["then"]["properties"] for one in definition.get("allOf", ()) if "then" in one]
    rows = []
    for key, field in definition.get("properties", {}).items():
        by_kind = ", ".join(_type(branch[key]) for branch in branches if key in branch)
        default = "required" if key in required else _default(field)
        rows.append((f"`{key}`", by_kind or _type(field), default, field.get("description", "")))
    return _table(("key", "type", "default", "meaning"), rows)


def _type(field: dict[str, Any]) -> str:
    """A field's type in words, with its bounds, linked where it is a section of its own."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in field:
            found = [_type(one) for one in field[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(found)) or "anything"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("format") == "password":
        return "secret"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    if field.get("type") == "object":
        values = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
        known = [_type(one) for one in values if isinstance(one, dict)]
        return f"names, each with {known[0]}" if known else "mapping"
    kind = field.get("type", "anything")
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {field[key]}" for key, sign in signs.items() if key in field)
    return f"{' or '.join(kind) if isinstance(kind, list) else kind} {bounds}".strip()


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return ""
    if isinstance(value, dict) and "$ref" in field:
        return "see there"
    return f"`{value}`" if value or value in (0, False) else "empty"


def commands() -> str:
    """Every command with its arguments and options, and the global options before them."""
    from rag_pipelines.cli.main import app

    root = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "`rag-pipelines COMMAND --help` says the same. Where a command has `--json`, it prints one JSON "
        "value on standard output; messages for people go to standard error. [Exit codes and "
        "errors](exit-codes-and-errors.md) says how a command ends.",
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
    usage = command.get_usage(context).removeprefix("Usage: ")
    usage = re.sub(r"\[(\[\w+\](?:\.\.\.)?)\](?:\.\.\.)?", r"\1", usage).replace("{", "").replace("}", "")
    records = filter(None, (one.get_help_record(context) for one in command.params if not one.hidden))
    rows = [(f"`{_PLAIN_TYPE.sub('', names)}`", _bounds(help)) for names, help in records]
    return ["```text", usage, "```", "", *_table(("argument or option", "meaning"), rows)]


_PLAIN_TYPE = re.compile(r" <(?:list\[)?(?:str|int|float|path|file)(?: range)?\]?>")
"""The type of a parameter, where it says less than its name and its help."""


def _bounds(help: str) -> str:
    """Help whose remark in brackets reads as a part of the sentence."""
    return re.sub(r"\s*\[([^\]]+)\]$", r" (\1)", help).strip()


def exit_codes_and_errors() -> str:
    """Exit codes, the error tree, and what each error leads to."""
    from rag_pipelines import errors
    from rag_pipelines.cli.invocation import EXIT_CODES, ExitCode

    meanings = dict(re.findall(r'(\w+) = \d+\n\s+"""(.*?)"""', inspect.getsource(ExitCode)))
    codes = [(str(code.value), f"`{code.name}`", meanings.get(code.name, "Done.")) for code in ExitCode]
    tree = re.search(r"^    RagError\n.*?(?=^\S)", errors.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert tree is not None, "the docstring of rag_pipelines/errors.py draws the tree"
    rows = []
    for one in vars(errors).values():
        if inspect.isclass(one) and issubclass(one, errors.RagError) and one is not errors.RagError:
            of_document = issubclass(one, errors.DocumentError)
            code = next(code for kind, code in EXIT_CODES if issubclass(one, kind))
            ends, status = ("", f"`{one.status}`") if of_document else (str(code.value), "")
            rows.append((f"`{one.__name__}`", _first_line(one.__doc__), ends, status))
    return "\n".join(
        [
            "# Exit codes and errors",
            "",
            "## Exit codes { #exit-codes }",
            "",
            *_table(("code", "name", "meaning"), codes),
            "",
            "## The error tree { #tree }",
            "",
            "Every error that leaves a public function is one of these (`rag_pipelines.errors`).",
            "",
            "```text",
            inspect.cleandoc(f"\n{tree[0]}"),
            "```",
            "",
            "## Every error { #errors }",
            "",
            "An error of one document ends no command: the document goes into quarantine under the word of "
            "the last column, and the command ends with 3. The others end it with the exit code given.",
            "",
            *_table(("error", "says", "exit code", "status in quarantine"), rows),
            "",
        ]
    )


def gates_and_checks() -> str:
    """The gates of a version and the quality expectations of the stored data."""
    from rag_pipelines.index.gate_results import GATE_MEANINGS, INTEGRITY
    from rag_pipelines.quality import suites
    from rag_pipelines.verification.drift import ADVICE, KINDS

    gates = [
        (f"`{name}`", _first_paragraph(meaning), "no" if name in INTEGRITY else "yes")
        for name, meaning in GATE_MEANINGS.items()
    ]
    lines = [
        "# Gates and checks",
        "",
        "## Gates { #gates }",
        "",
        "Stored with each version and read again by the promotion. What may be overridden takes a name and a "
        "reason ([Promote and roll back](../how-to/promote-and-roll-back.md#override)).",
        "",
        *_table(("gate", "passes when", "may be overridden"), gates),
        "",
        "A candidate that was aborted as a canary keeps the failed gate `canary`, which may be "
        "overridden, too.",
        "",
        "## Quality suites { #suites }",
        "",
        "Great Expectations suites that run inside Postgres over what is stored of a source. A failed "
        "blocking expectation stops its run and fails the gate `source_quality`.",
    ]
    for suite in (suites.documents_suite(), suites.chunks_suite(), suites.vectors_suite()):
        rows = [(f"`{one.name}`", one.description, _yes(one.blocking)) for one in suite.expectations]
        lines += ["", f"### {suite.name} {{ #suite-{suite.name} }}", ""]
        lines += _table(("expectation", "says", "blocking"), rows)
    lines += [
        "",
        "## Drift { #drift }",
        "",
        "What `rag-pipelines verify` can find, the check of `rag/completeness` that it fails, and what mends "
        "it ([Verify and purge](../how-to/verify-and-purge.md#verify)).",
        "",
        *_table(
            ("drift", "meaning", "check", "mended by"),
            [
                (f"`{name}`", kind.meaning, f"`{kind.check}`", f"`{_command(ADVICE[kind.remedy])}`")
                for name, kind in KINDS.items()
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _command(advice: str) -> str:
    """A command with the names of the user's things in capitals."""
    return re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), advice)


def dagster() -> str:
    """Assets, checks, jobs, schedules and sensors of the demo's configuration."""
    from rag_pipelines.config import DEMO_CONFIG, load_config
    from rag_pipelines.orchestration.build import build_definitions

    found = build_definitions(settings=load_config(DEMO_CONFIG, {}))
    graph = found.resolve_asset_graph()
    assets = [
        (f"`{key.to_user_string()}`", f"`{graph.get(key).group_name}`", graph.get(key).description)
        for key in sorted(graph.get_all_asset_keys())
    ]
    checks = [
        (f"`{key.asset_key.to_user_string()}`", f"`{key.name}`", node.description, _yes(node.blocking))
        for key, node in sorted((key, graph.get(key)) for key in graph.asset_check_keys)
    ]
    jobs = [(f"`{one.name}`", one.description) for one in found.jobs]
    schedules = [(f"`{one.name}`", f"`{one.cron_schedule}`", one.description) for one in found.schedules]
    sensors = [(f"`{one.name}`", one.default_status.value.lower(), one.description) for one in found.sensors]
    return "\n".join(
        [
            "# Dagster: assets, checks, jobs, schedules, sensors",
            "",
            "As built for the demo's configuration: sources `acme-sensors`, `brightwater` and `help-center`, "
            "index `handbook`. Yours has two assets for each of your indexes, and a schedule for each source "
            "that has one.",
            "",
            "## Assets { #assets }",
            "",
            *_table(("asset", "group", "what it is"), assets),
            "",
            "## Asset checks { #checks }",
            "",
            *_table(("asset", "check", "says", "blocking"), checks),
            "",
            "## Jobs { #jobs }",
            "",
            *_table(("job", "does"), sorted(jobs)),
            "",
            "## Schedules { #schedules }",
            "",
            "All begin stopped.",
            "",
            *_table(("schedule", "when", "does"), sorted(schedules)),
            "",
            "## Sensors { #sensors }",
            "",
            "Those that begin running start no work of their own accord: they tidy up, show what was done "
            "elsewhere, and start what a job asked for.",
            "",
            *_table(("sensor", "begins", "does"), sorted(sensors)),
            "",
        ]
    )


def python_api() -> str:
    """Every public name with its signature, as the listing beside the pages has it."""
    names = (ROOT / "docs" / "reference" / "public-api.txt").read_text(encoding="utf-8")
    return "\n".join(
        [
            "# Python",
            "",
            "What is public, module by module. Before 1.0 a minor release may change it; `CHANGELOG.md` "
            "says so. [Search from Python](../how-to/search.md#python) shows how it is used.",
            "",
            "```text",
            names.strip(),
            "```",
            "",
        ]
    )


def mistakes() -> str:
    """Mistakes, with what each prints and returns, from the table that a test makes them by."""
    groups = yaml.safe_load((ROOT / "docs" / "reference" / "mistakes.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Mistakes",
        "",
        "What common mistakes print and return. A test makes each of them, and fails where anything else is "
        "printed or returned; … stands for what differs. Messages go to standard error, results to standard "
        "output. [Exit codes and errors](exit-codes-and-errors.md) lists the codes.",
    ]
    for group, entries in groups.items():
        lines += ["", f"## {group} {{ #{group.lower().replace(' ', '-')} }}"]
        for one in entries:
            lines += ["", f"### {one['mistake'].capitalize()}", ""]
            if where := one.get("where"):
                lines += [f"Where {where}:", ""]
            for name, text in {**one.get("files", {}), "rag.yaml": one.get("rag.yaml", "")}.items():
                if text:
                    kind = "yaml" if name == "rag.yaml" else "json"
                    lines += [f'```{kind} title="{name}"', text.rstrip(), "```", ""]
            lines += ["```console", one["run"], "```", "", "```text", one["prints"].rstrip(), "```", ""]
            answer = "HTTP status" if one["run"].startswith("curl") else "Exit code"
            lines += [f"{answer} {one['returns']}."]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> list[str]:
    """A table in Markdown; nothing where there are no rows. Of a longer text its first paragraph stands."""
    lines = [f"| {' | '.join(_cell(cell or '') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines] if lines else []


def _cell(text: str) -> str:
    return _prose(_first_paragraph(text)).replace("\n", " ").replace("|", "\\|")


def _prose(text: str) -> str:
    """Text of a docstring as Markdown: its double back-ticks as single ones."""
    return inspect.cleandoc(text).replace("``", "`")


def _first_paragraph(text: str) -> str:
    return inspect.cleandoc(text).partition("\n\n")[0]


def _first_line(text: str | None) -> str:
    return inspect.cleandoc(text or "").partition("\n")[0]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


PAGES: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration,
    "reference/commands.md": commands,
    "reference/exit-codes-and-errors.md": exit_codes_and_errors,
    "reference/mistakes.md": mistakes,
    "reference/gates-and-checks.md": gates_and_checks,
    "reference/dagster.md": dagster,
    "reference/python.md": python_api,
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
