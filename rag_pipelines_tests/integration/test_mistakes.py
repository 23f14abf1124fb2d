"""Mistakes: each of `docs/reference/mistakes.yaml` is made, and prints and returns what the table says.

What belongs here: making them. What does not: what they print, which stands in the table and on the page that
is made of it.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.cli.invocation import ExitCode
from rag_pipelines.serving.app import create_app
from rag_pipelines.serving.auth import digest
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "mistakes.yaml"
MISTAKES = [one for group in yaml.safe_load(TABLE.read_text(encoding="utf-8")).values() for one in group]

RECORD = re.compile(r"\d{4}-\d\d-\d\dT\S+Z +[A-Z]+ ")
"""A log record, which is not written where a person watches a terminal."""

MEALS = "# Travel policy\n\n## Meals\n\nWhen you stay away overnight you may claim meals."


def fill_live(made: Workspace) -> None:
    """One document and a live version."""
    made.write("travel.md", MEALS)
    made.document["indexes"]["main"]["keep"] = {"spare": False}
    made.refresh()


class _Rejecting(BaseHTTPRequestHandler):
    """An endpoint that knows nobody."""

    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"error": {"message": "Incorrect API key provided"}}')

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def rejecting_endpoint() -> Iterator[int]:
    """Its port."""
    server = HTTPServer(("127.0.0.1", 0), _Rejecting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def embed_at(workspace: Workspace, port: int) -> None:
    """Have something to embed, by an endpoint on this machine."""
    workspace.document["profiles"]["embedding"]["default"] = {
        "provider": "openai",
        "model": "text-embedding-3-small",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": "${KEY:-wrong}",
        "dimensions": 64,
        "retries": 0,
    }
    workspace.write("pay.md", "# Pay\n\nOn the last day of the month.")


def arrange(where: str, workspace: Workspace, kept: ExitStack) -> str:
    """Bring about what the table says; the port that its command names, if it does."""
    document = workspace.document
    match where:
        case "" | "nothing was ingested":
            pass
        case "nothing was built":
            workspace.write("travel.md", MEALS)
            workspace.ingest()
        case "the database knows no such login":
            url = urlsplit(workspace.url)
            nobody = f"nobody@{url.netloc.rpartition('@')[2]}"
            document["database"]["url"] = url._replace(netloc=nobody).geturl()
        case "the folder is gone":
            shutil.rmtree(workspace.docs)
        case "a document is broken":
            workspace.write("broken.pdf", b"%PDF-1.7 broken")
        case "the endpoint rejects the key":
            embed_at(workspace, kept.enter_context(rejecting_endpoint()))
        case "the endpoint does not answer":
            embed_at(workspace, 1)
        case "the port is taken":
            document["serving"] = {"anonymous": {"tenant": "default"}}
            taken = kept.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            return str(taken.getsockname()[1])
        case "the golden set asks for more":
            golden = workspace.folder / "golden.jsonl"
            golden.write_text('{"id": "pay", "query": "when is pay day?", "expect": [{"path": "pay.md"}]}\n')
            document["indexes"]["main"] |= {"golden": str(golden)}
            document["indexes"]["main"]["gates"]["quality"] = {"floors": {"nDCG@10": 0.9}}
        case "the budget is one document":
            document["sources"]["docs"]["budget"] = {"documents": 1}
            for name in ("pay.md", "leave.md"):
                workspace.write(name, f"# {name}\n\nText.")
        case "writing is switched off":
            switched = CliRunner().invoke(
                main.app,
                ["--config", str(workspace.config_file), "switch", "on", "read-only", "--reason", "a move"],
            )
            assert switched.exit_code == 0, switched.output
        case _:
            raise AssertionError(f"the table says {where!r}, which no test brings about")
    return ""


def answer(workspace: Workspace, words: list[str]) -> tuple[int, str]:
    """The status and the body that the service gives to what curl is told to ask."""
    address = next(word for word in words if word.startswith("http"))
    given = {flag: words[at + 1] for at, flag in enumerate(words) if flag in ("-H", "-d")}
    name, _, value = given.get("-H", "").partition(": ")
    workspace.document["serving"] = {
        "api_keys": {"right": {"sha256": digest("right"), "tenant": "default"}},
    }
    settings = workspace.settings
    runtime = workspace.runtime
    with TestClient(create_app(settings, workspace.database, runtime.embedders)) as client:
        said = client.post(
            urlsplit(address).path, json=json.loads(given["-d"]), headers={name: value} if name else {}
        )
    return said.status_code, said.text


def test_the_table_has_every_exit_code_that_a_mistake_leads_to_and_names_each_mistake_once() -> None:
    returned = {one["returns"] for one in MISTAKES if not one["run"].startswith("curl")}
    assert returned == set(ExitCode) - {ExitCode.BUG, ExitCode.INTERRUPTED}
    names = [one["mistake"] for one in MISTAKES]
    assert len(set(names)) == len(names) >= 40


@pytest.mark.usefixtures("suites_run_here")
@pytest.mark.parametrize("one", [pytest.param(one, id=one["mistake"]) for one in MISTAKES])
def test_a_mistake_prints_and_returns_what_the_table_says(
    one: dict[str, Any],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stock_of: Callable[[Fill], Stock],
) -> None:
    with ExitStack() as kept:
        where, port = one.get("where", ""), ""
        monkeypatch.setenv("COLUMNS", "80")
        if "rag.yaml" in one:
            monkeypatch.chdir(tmp_path)
        else:
            bare = where.startswith("nothing was")
            lent = nullcontext(request.getfixturevalue("workspace")) if bare else stock_of(fill_live).lend()
            workspace = kept.enter_context(lent)
            port = arrange(where, workspace, kept)
            monkeypatch.chdir(workspace.folder)
            assert workspace.config_file.name == "rag.yaml"
        words = shlex.split(one["run"].replace("PORT", port))
        if words[0] == "curl":
            code, printed = answer(workspace, words)
        else:
            written = {"rag.yaml": one["rag.yaml"]} if "rag.yaml" in one else one.get("files", {})
            for name, text in written.items():
                Path(name).write_text(text, encoding="utf-8")
            result = CliRunner().invoke(main.app, main._global_options_first(words[1:]), prog_name=words[0])
            code, printed = result.exit_code, result.output
    shown = "\n".join(line.rstrip() for line in printed.splitlines() if not RECORD.match(line)).strip("\n")
    expected = ".*".join(map(re.escape, one["prints"].strip("\n").split("…")))
    assert re.fullmatch(expected, shown, re.DOTALL), shown
    assert code == one["returns"]
