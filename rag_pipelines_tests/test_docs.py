"""The documentation tells the truth: commands parse, names exist, configurations are valid, the site builds.

What belongs here: README, CONTRIBUTING, findings/ and every page of docs/, held against the code. What does
not: whether a page is well written, and the connector of a page (`connectors/test_documented_connector.py`).
"""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import typer
import yaml

from rag_pipelines.cli import main
from rag_pipelines.cli.invocation import ExitCode
from rag_pipelines.config import DEMO_CONFIG, load_config
from rag_pipelines.connectors.registry import BUILTIN
from rag_pipelines.connectors.sidecars import Sidecar
from rag_pipelines.index.gate_results import REQUIRED_GATES
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.quality.suites import statuses
from rag_pipelines_tests.unit.test_layers import FLOORS
from tools import build_docs

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "bash",
    "rag-pipelines", "make", "dagster", "dg", "pip", "export", "printf", "curl", "python", "tar",
    "psql", "pg_dump", "pg_restore", "createdb", "node", "rm", "source",
}  # fmt: skip
"""What a console block may start."""

README_LINES = 200
"""What a newcomer reads in five minutes."""

_FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: where it stands, what it is, its title, its text."""

    page: str
    kind: str
    title: str
    text: str


@cache
def pages() -> dict[str, str]:
    """Every page that is written by hand: its path from the repository's folder, its text."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "findings" / "README.md"]
    files += sorted((ROOT / "docs").rglob("*.md"))
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def _blocks() -> Iterator[Block]:
    for page, text in pages().items():
        for _, info, body in _FENCE.findall(text):
            kind, _, rest = info.partition(" ")
            title = re.search(r'title="([^"]*)"', rest)
            yield Block(page, kind, title[1] if title else "", textwrap.dedent(body))


BLOCKS = list(_blocks())
PROSE = {page: _FENCE.sub("", text) for page, text in pages().items()}
ALL_PROSE = "\n".join(PROSE.values())


def of_kind(*kinds: str) -> list[Any]:
    """The blocks of some kinds, as parameters named by their page."""
    return [pytest.param(one, id=one.page) for one in BLOCKS if one.kind in kinds]


def lines_of_consoles() -> list[str]:
    """Every line of every console block."""
    return [
        line.strip()
        for one in BLOCKS
        if one.kind == "console"
        for line in one.text.splitlines()
        if line.strip()
    ]


LINES = lines_of_consoles()
COMMANDS = sorted({line for line in LINES if line.startswith("rag-pipelines")})
MENTIONED = sorted(set(re.findall(r"`(rag-pipelines [^`…]+)`", ALL_PROSE)) - set(COMMANDS))
DAGSTER = [line for line in LINES if line.startswith("dagster")]


@pytest.fixture(scope="module")
def definitions() -> Any:
    from rag_pipelines.orchestration.build import build_definitions

    return build_definitions(settings=load_config(DEMO_CONFIG, {}))


@cache
def command_line() -> Any:
    """The command line with its commands doing nothing."""

    def silence(command: Any) -> None:
        for child in getattr(command, "commands", {}).values():
            silence(child)
        if not getattr(command, "commands", None):
            command.callback = lambda **_: None

    found = typer.main.get_command(main.app)
    silence(found)
    return found


def parse(line: str) -> None:
    """Parse a command line as the program would, running nothing."""
    command_line().main(
        shlex.split(line, comments=True)[1:], prog_name="rag-pipelines", standalone_mode=False
    )


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    known = {"console", "yaml", "python", "js", "json", "toml", "text", "mermaid", ""}
    assert [(one.page, one.kind) for one in BLOCKS if one.kind not in known] == []


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_parses(line: str) -> None:
    parse(line)


@pytest.mark.parametrize("line", MENTIONED)
def test_every_command_that_is_mentioned_exists_with_its_options(line: str) -> None:
    """In running text its arguments may be missing."""
    try:
        parse(line)
    except Exception as error:
        incomplete = any(words in str(error) for words in ("Missing", "requires an argument"))
        if not incomplete and type(error).__name__ != "NoArgsIsHelpError":
            raise


def test_a_wrong_command_line_would_be_noticed() -> None:
    for line in ("ingset", "query", "index build main --promte"):
        with pytest.raises(Exception, match=r"No such|Missing"):
            parse(f"rag-pipelines {line}")


def test_every_command_is_told_of() -> None:
    words = " ".join(re.findall(r"`([^`]+)`", ALL_PROSE) + LINES)
    for name, command in command_line().commands.items():
        for child in getattr(command, "commands", {"": None}):
            assert f"{name} {child}".strip() in words or (name, child) == ("source", "list")


def test_every_other_program_of_a_console_block_is_known() -> None:
    assert {line.split()[0] for line in LINES} <= PROGRAMS


def test_every_make_target_exists_and_every_test_that_make_is_given() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = "\n".join(pages().values())
    named = set(re.findall(r"(?:`|^)make ([\w-]+)", text, re.MULTILINE))
    assert {"demo", "test", "test-fast", "dev", "docs"} <= named <= targets
    given = re.findall(r'ARGS="(rag_pipelines_tests\S*)', text)
    assert given
    assert [place for place in given if not (ROOT / place.strip('"')).exists()] == []


def test_every_job_schedule_and_sensor_is_named_and_every_asset_key_exists(definitions: Any) -> None:
    jobs = {job.name for job in definitions.jobs}
    listed = re.search(r"^Jobs: (.*)\.$", pages()["README.md"], re.MULTILINE)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == jobs
    automation = {one.name for one in (*definitions.schedules, *definitions.sensors)}
    assert set(re.findall(r"`(\w+_(?:sensor|daily|weekly|nightly))`", ALL_PROSE)) <= automation
    assert {"ingest_acme_sensors", "ingest_brightwater"} <= automation
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert set(re.findall(r"rag/[a-z_/]+", pages()["README.md"])) == keys
    assert set(re.findall(r"`(rag/[a-z_/]+)`", ALL_PROSE)) <= keys


def test_every_check_that_is_named_exists(definitions: Any) -> None:
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    said = {
        "deletions_decided",
        "listing_complete",
        "fresh",
        "quarantine_documents",
        "quarantine_age",
        "volume_drop",
        "pages_known",
        "words_kept",
        "content_kept",
        "canary",
    }
    assert {name for name in said if f"`{name}`" in ALL_PROSE} == said
    assert said <= checks


def test_the_dagster_lines_name_jobs_partitions_groups_and_settings_that_exist(definitions: Any) -> None:
    jobs = {job.name for job in definitions.jobs}
    automation = {one.name for one in (*definitions.schedules, *definitions.sensors)}
    sources = set(load_config(DEMO_CONFIG, {}).sources)
    for line in DAGSTER:
        words = shlex.split(line)
        options = dict(itertools.pairwise(words))
        if words[1] in ("schedule", "sensor"):
            assert words[-1] in automation
        assert options.get("-j", "ingest_source") in jobs
        partitions = options.get("--partitions") or options.get("--partition") or ""
        assert set(filter(None, partitions.split(","))) <= sources
        if "--config-json" in options:
            job = definitions.resolve_job_def(options["-j"])
            from dagster import validate_run_config

            validate_run_config(job, msgspec.json.decode(options["--config-json"]))
    assert len(DAGSTER) == 9


@pytest.mark.parametrize("block", of_kind("yaml"))
def test_every_configuration_is_valid(block: Block, tmp_path: Path) -> None:
    if block.title.endswith(".access.yaml"):
        msgspec.convert(yaml.safe_load(block.text), Sidecar)
        return
    if block.title not in ("", "rag.yaml"):
        assert yaml.safe_load(block.text)
        return
    file = tmp_path / "rag.yaml"
    text = block.text
    if not re.search(r"^sources:", text, re.MULTILINE):
        text += "sources:\n  docs: {connector: filesystem, options: {root: docs}}\n"
    if not re.search(r"^indexes:", text, re.MULTILINE):
        text += 'indexes:\n  main: {sources: "*"}\n'
    file.write_text(text, encoding="utf-8")
    settings = load_config(file, {})
    assert settings.sources
    assert settings.indexes


@pytest.mark.parametrize("block", of_kind("python"))
def test_python_code_imports_what_exists(block: Block) -> None:
    for statement in ast.walk(ast.parse(block.text)):
        if isinstance(statement, ast.ImportFrom):
            module = importlib.import_module(str(statement.module))
            names = [alias.name for alias in statement.names if alias.name != "*"]
            assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("block", of_kind("json", "toml"))
def test_data_can_be_read(block: Block) -> None:
    if block.kind == "toml":
        assert tomllib.loads(block.text)
    else:
        assert all(json.loads(line) for line in block.text.splitlines())


def _said(node: ast.AST) -> str | None:
    """What a literal says, with … where a value is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_said(part) or "…" for part in node.values)
    return None


@cache
def literals() -> str:
    """Every text of the package, one a line; what is added up from two is one."""
    files = (ROOT / "rag_pipelines").rglob("*.py")
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return "\n".join(" ".join(text.split()) for text in map(_said, nodes) if text is not None)


@pytest.mark.parametrize(
    "message",
    [line for one in BLOCKS if one.title == "what you see" for line in one.text.splitlines() if line],
)
def test_every_message_of_a_runbook_is_in_the_code(message: str) -> None:
    pattern = ".*".join(re.escape(part.strip()) for part in message.split("…"))
    assert re.search(pattern, literals())


def test_every_record_that_the_page_of_logs_lists_is_written_somewhere() -> None:
    table = pages()["docs/operations/logs.md"].partition("| record |")[2]
    listed = [text for row in table.splitlines()[2:] for text in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(listed) > 20
    assert set(listed) <= set(literals().splitlines())


def test_the_parser_of_its_page_reads_subtitles() -> None:
    code = next(one.text for one in BLOCKS if one.title.endswith("subtitles.py"))
    module: dict[str, Any] = {}
    exec(compile(code, "subtitles.py", "exec"), module)
    subtitles = (
        "WEBVTT - The dam\n\nNOTE seen by nobody\n\n1\n00:00:01.000 --> 00:00:02.000\n<v Ann>The gauge\n\n"
        "00:00:02.500 --> 00:00:03.000\nis stuck.\n\n00:01:00.000 --> 00:01:02.000\nOpen the gate.\n"
    )
    document = module["parse"](ParseRequest(subtitles.encode()))
    assert document.title == "The dam"
    assert [document.text[one.start : one.end] for one in document.blocks] == [
        "The gauge is stuck.",
        "Open the gate.",
    ]
    with pytest.raises(Exception, match="WEBVTT"):
        module["parse"](ParseRequest(b"something else"))


def test_tables_of_gates_connectors_and_statuses_are_complete() -> None:
    gates = pages()["docs/how-to/promote-and-roll-back.md"]
    assert (
        tuple(re.findall(r"^\| `(\w+)` \| .*\?(?: \(recall@10\))? \|$", gates, re.MULTILINE))
        == REQUIRED_GATES
    )
    table = pages()["docs/reference/connectors.md"].partition("| connector |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(BUILTIN)
    table = pages()["docs/how-to/quarantine.md"].partition("| status |")[2].partition("\n\n")[0]
    rows = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    assert {*re.findall(r"`(\w+)`", rows)} | {"ok", "poison"} >= set(statuses())
    assert set(re.findall(r"`(\w+)`", rows)) <= set(statuses())


def test_exit_codes_are_complete() -> None:
    codes = re.search(r"^Exit codes: (.*)\.$", pages()["README.md"], re.MULTILINE)
    assert codes is not None
    assert [int(code) for code in re.findall(r"\b(\d+) ", codes[1])] == list(map(int, ExitCode))


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    text = "\n".join(pages().values())
    named = {
        name
        for group in re.findall(r"extras? ((?:`\w+`(?:, | and )?)+)", text)
        for name in re.findall(r"`(\w+)`", group)
    }
    named |= {
        name
        for group in re.findall(r"'(?:\.|rag-pipelines)\[([\w,-]+)\]'", text)
        for name in group.split(",")
    }
    assert {"demo", "openvino", "s3", "mcp", "langchain"} <= named <= extras


def test_the_map_of_the_code_names_what_is_there() -> None:
    (code,) = (one for one in BLOCKS if one.page == "CONTRIBUTING.md" and one.kind == "")
    inside = [line.split()[0] for line in code.text.splitlines() if line.startswith("  ")]
    assert {(ROOT / "rag_pipelines" / name).exists() for name in inside} == {True}
    there = {
        path.name
        for path in (ROOT / "rag_pipelines").iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert there == {name.rstrip("/") for name in inside if name.endswith("/")}


def test_the_floors_of_the_design_are_those_that_the_code_is_held_to() -> None:
    drawn = next(
        one.text for one in BLOCKS if one.page.endswith("design.md") and "definitions cli" in one.text
    )
    floors = [frozenset(re.split(r" {3,}", line)[0].split()) for line in drawn.splitlines() if line.strip()]
    assert floors == list(FLOORS)


def test_a_newcomer_reads_the_readme_in_five_minutes() -> None:
    assert pages()["README.md"].count("\n") <= README_LINES


def test_links_beside_the_site_lead_to_pages_and_headings_that_exist() -> None:
    """The generator checks those between pages of the site; these are outside of it."""
    for page in ("README.md", "CONTRIBUTING.md", "findings/README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", PROSE[page]):
            place, _, anchor = target.partition("#")
            file = (ROOT / page).parent / place
            assert file.exists(), f"{page}: {target}"
            assert not anchor or f"{{ #{anchor} }}" in file.read_text(encoding="utf-8"), f"{page}: {target}"


def test_every_finding_is_listed_and_says_what_it_pins() -> None:
    scripts = {file.name for file in (ROOT / "findings").glob("*.sh")}
    assert set(re.findall(r"^\| `(\w+\.sh)` \|", pages()["findings/README.md"], re.MULTILINE)) == scripts
    for name in scripts:
        said = (ROOT / "findings" / name).read_text(encoding="utf-8").partition("\nset -euo")[0]
        assert re.findall(r"^# (\w+) {2,}", said, re.MULTILINE)[:4] == ["Library", "Behaviour", "Seen", "Who"]
    mentioned = set(re.findall(r"`findings/(\w+\.sh)`", ALL_PROSE))
    assert mentioned <= scripts


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a link or an anchor that leads nowhere ends the build."""
    pytest.importorskip("zensical", reason="needs the extra 'docs'")
    return build_docs.build(tmp_path_factory.mktemp("docs"))


def test_the_site_holds_every_page_and_those_made_from_the_code(site: Path) -> None:
    written = {page.removeprefix("docs/") for page in pages() if page.startswith("docs/")}
    made = {str(file.relative_to(site).with_suffix(".md")) for file in site.rglob("*.html")}
    assert made - {"404.md"} == written | set(build_docs.PAGES)
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in written | set(build_docs.PAGES) if page not in navigation] == []


def test_pages_load_nothing_of_another_host(site: Path) -> None:
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"?(https?://[^\s\">]+)", text)
        assert [url for url in loaded if not url.startswith("https://zensical.org")] == [], file
        assert 'class="mermaid"' not in text, f"{file}: diagrams are drawn by a script of another host"


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zensical", reason="needs the extra 'docs'")
    monkeypatch.setattr(
        build_docs, "PAGES", {"reference/broken.md": lambda: "[no](../tutorial.md#such-heading)\n"}
    )
    with pytest.raises(build_docs.subprocess.CalledProcessError):
        build_docs.build(tmp_path)


def test_the_reference_names_every_command_option_setting_error_gate_and_job(definitions: Any) -> None:
    commands = build_docs.commands()

    def options(command: Any) -> Iterator[str]:
        for child in getattr(command, "commands", {}).values():
            yield from options(child)
        for one in command.params:
            yield from (name for name in one.opts if name.startswith("-"))

    assert [name for name in options(typer.main.get_command(main.app)) if name not in commands] == []
    settings = build_docs.configuration()
    assert all(
        f"`{key}`" in settings for key in ("delete_guard", "jql", "max_expansion_bytes", "rrf_k", "sha256")
    )
    assert "ThrottledError" in build_docs.exit_codes_and_errors()
    assert all(f"`{gate}`" in build_docs.gates_and_checks() for gate in REQUIRED_GATES)
    assert all(f"`{job.name}`" in build_docs.dagster() for job in definitions.jobs)
