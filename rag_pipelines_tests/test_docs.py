"""The README tells the truth: its commands parse, its names exist, its configuration is valid."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

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

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


BLOCKS = re.findall(r"^```([^\n]*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)


def fenced(kind: str) -> list[str]:
    """The contents of the README's blocks of a kind."""
    return [body for info, body in BLOCKS if info == kind]


LINES = [line.strip() for block in fenced("console") for line in block.splitlines() if line.strip()]
COMMANDS = sorted(
    {line for line in LINES if line.startswith("rag-pipelines")}
    | set(re.findall(r"`(rag-pipelines [^`]+)`", PROSE))
)
DAGSTER = [line for line in LINES if line.startswith("dagster")]


@pytest.fixture(scope="module")
def definitions() -> Any:
    from rag_pipelines.orchestration.build import build_definitions

    return build_definitions(settings=load_config(DEMO_CONFIG, {}))


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


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_parses(line: str) -> None:
    command_line().main(shlex.split(line)[1:], prog_name="rag-pipelines", standalone_mode=False)


def test_a_wrong_command_line_would_be_noticed() -> None:
    for line in ("ingset", "query", "index build main --promte"):
        with pytest.raises(Exception, match=r"No such|Missing"):
            command_line().main(line.split(), prog_name="rag-pipelines", standalone_mode=False)


def test_every_command_is_told_of() -> None:
    words = " ".join(re.findall(r"`([^`]+)`", PROSE) + LINES)
    for name, command in command_line().commands.items():
        for child in getattr(command, "commands", {"": None}):
            if name not in ("quarantine", "source"):
                assert f"{name} {child}".strip() in words
        assert name in words


def test_every_other_program_of_a_console_block_is_known() -> None:
    assert {line.split()[0] for line in LINES} <= {"rag-pipelines", "make", "dagster", "export"}


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE))
    assert {"demo", "test", "dev"} <= named
    assert named <= targets


def test_every_job_schedule_and_sensor_is_named_and_every_asset_key_exists(definitions: Any) -> None:
    jobs = {job.name for job in definitions.jobs}
    listed = re.search(r"^Jobs: (.*)\.$", README, re.MULTILINE)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == jobs
    automation = {one.name for one in (*definitions.schedules, *definitions.sensors)}
    assert set(re.findall(r"`(\w+_(?:sensor|daily|weekly|nightly))`", README)) <= automation
    assert {"ingest_acme_sensors", "ingest_brightwater"} <= automation
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert set(re.findall(r"rag/[a-z_/]+", README)) == keys


def test_the_dagster_lines_name_jobs_partitions_groups_and_settings_that_exist(definitions: Any) -> None:
    jobs = {job.name for job in definitions.jobs}
    sources = set(load_config(DEMO_CONFIG, {}).sources)
    for line in DAGSTER:
        words = shlex.split(line)
        options = dict(itertools.pairwise(words))
        assert options.get("-j", "ingest_source") in jobs
        partitions = options.get("--partitions") or options.get("--partition") or ""
        assert set(filter(None, partitions.split(","))) <= sources
        if "--config-json" in options:
            job = definitions.resolve_job_def(options["-j"])
            from dagster import validate_run_config

            validate_run_config(job, msgspec.json.decode(options["--config-json"]))
    assert len(DAGSTER) == 3


@pytest.mark.parametrize("text", fenced("yaml"))
def test_every_configuration_is_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rag.yaml"
    file.write_text(text, encoding="utf-8")
    settings = load_config(file, {})
    assert settings.sources
    assert settings.indexes


@pytest.mark.parametrize("text", fenced("yaml sidecar"))
def test_every_access_sidecar_is_valid(text: str) -> None:
    msgspec.convert(yaml.safe_load(text), Sidecar)


@pytest.mark.parametrize("code", fenced("python"))
def test_python_code_imports_what_exists(code: str) -> None:
    for statement in ast.walk(ast.parse(code)):
        if isinstance(statement, ast.ImportFrom):
            module = importlib.import_module(str(statement.module))
            assert all(hasattr(module, alias.name) for alias in statement.names)


def test_gates_exit_codes_connectors_and_extras_are_complete() -> None:
    assert (
        tuple(re.findall(r"^\| `(\w+)` \| .*\?(?: \(recall@10\))? \|$", README, re.MULTILINE))
        == REQUIRED_GATES
    )
    codes = re.search(r"^Exit codes: (.*)\.$", README, re.MULTILINE)
    assert codes is not None
    assert [int(code) for code in re.findall(r"\b(\d+) ", codes[1])] == list(map(int, ExitCode))
    table = PROSE.partition("| connector |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(BUILTIN)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    named = {
        name
        for group in re.findall(r"extras? ((?:`\w+`(?:, )?)+)", README)
        for name in re.findall(r"`(\w+)`", group)
    }
    named |= set(re.findall(r"'\.\[([\w-]+)\]'", README))
    assert {"demo", "openvino", "s3"} <= named <= extras


def test_the_map_of_the_code_names_what_is_there() -> None:
    lines = fenced("")[-1].splitlines()
    inside = [line.split()[0] for line in lines if line.startswith("  ")]
    assert {(ROOT / "rag_pipelines" / name).exists() for name in inside} == {True}
    there = {
        path.name
        for path in (ROOT / "rag_pipelines").iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }
    assert there == {name.rstrip("/") for name in inside if name.endswith("/")}
