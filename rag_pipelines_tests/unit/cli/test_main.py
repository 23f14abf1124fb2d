"""The frame of the command line: global options, exit codes, and errors without tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rag_pipelines
from rag_pipelines.cli import source
from rag_pipelines.cli.invocation import ExitCode, exit_code
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    DatabaseError,
    GateError,
    RagError,
    ThrottledError,
    UsageError,
)
from rag_pipelines_tests.unit.cli.conftest import Call

HEAVY = {
    "torch",
    "dagster",
    "numpy",
    "psycopg",
    "pydantic",
    "yaml",
    "openvino",
    "pymupdf",
    "great_expectations",
}


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from rag_pipelines.cli.main import main\n"
        "try: main([sys.argv[1]])\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    for option in ("--help", "--version"):
        subprocess.run([sys.executable, "-c", code, option], check=True, capture_output=True)


def test_the_version_is_the_package_s(call: Call) -> None:
    assert call("--version").stdout == f"rag-pipelines {rag_pipelines.__version__}\n"


@pytest.mark.parametrize("place", ["before", "after", "joined"])
def test_the_configuration_may_be_named_before_or_after_the_command(
    place: str, call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("sources: {}\n")
    arguments = {
        "before": ["--config", str(file), "config", "check"],
        "after": ["config", "check", "--config", str(file)],
        "joined": ["config", "check", f"--config={file}"],
    }[place]
    assert f"{file} is valid" in call(*arguments).stdout


def test_what_follows_two_dashes_is_left_to_the_command(call: Call) -> None:
    result = call("source", "check", "--", "--config")
    assert "no source '--config'" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (UsageError("x"), 2),
        (CredentialError("x"), 4),
        (ThrottledError("x", 5.0), 5),
        (GateError("x"), 1),
        (DatabaseError("x"), 1),
        (RagError("x"), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 70),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_is_one_message_on_stderr(call: Call) -> None:
    result = call("source", "check", "nowhere")
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert (
        result.stderr
        == "error: there is no source 'nowhere'; valid: acme-sensors, brightwater, help-center\n"
    )


def test_debug_adds_the_traceback(call: Call) -> None:
    assert "Traceback" in call("--debug", "source", "check", "nowhere").stderr


def test_an_unknown_command_is_a_usage_error(call: Call) -> None:
    assert call("ingset").exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [(KeyboardInterrupt(), 130, "interrupted"), (ZeroDivisionError("boom"), 70, "ZeroDivisionError: boom")],
)
def test_an_interrupt_and_a_bug_end_with_their_own_codes(
    raised: BaseException, code: int, words: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(context: object) -> None:
        raise raised

    monkeypatch.setattr(source, "invocation", fail)
    result = call("source", "list")
    assert result.exit_code == code
    assert words in result.stderr
