"""The JavaScript client sees what its login may see, and its errors have the names of Python's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rag_pipelines import __version__
from rag_pipelines.client.client import Client
from rag_pipelines_tests.integration.serving import CRM, SEEN
from tools import build_clients

SESSION = Path(__file__).with_name("client_session.mjs")
NODE = shutil.which("node")


def methods_of_python() -> set[str]:
    """The operations of the Python client, in the spelling of JavaScript."""
    names = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in names}


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_three_users_see_what_each_may_see_and_problems_are_the_same_errors(two_tenant_service: str) -> None:
    logins = json.dumps({"readers": list(SEEN), "sender": CRM})
    command = [str(NODE), str(SESSION), two_tenant_service, logins]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {login: set(paths) for login, paths in told["seen"].items()} == SEEN
    assert (told["state"], told["bytes"], told["batch"], told["deleted"]) == (
        "waiting",
        16,
        "delete",
        "delete",
    )
    errors = told["errors"]
    assert {name: one[:2] for name, one in errors.items()} == {
        "login": ["CredentialError", 401],
        "index": ["UsageError", 404],
        "k": ["UsageError", 422],
        "key": ["ConflictError", 409],
        "push": ["ForbiddenEntityError", 403],
        "missing": ["MissingEntityError", 404],
        "away": ["TransientError", None],
        "address": ["UsageError", None],
    }
    assert errors["index"][2] == "urn:rag-pipelines:problem:no-such-index"
    assert "valid: main" in errors["index"][3]


def test_it_has_the_methods_of_the_python_client() -> None:
    code = (build_clients.JAVASCRIPT / "client.js").read_text()
    types = (build_clients.JAVASCRIPT / "client.d.ts").read_text()
    declared = types[types.index("export class Client") :]
    for text in (code[code.index("export class Client") :], declared):
        found = set(re.findall(r"^  ([a-z]\w*)\(", text, re.MULTILINE)) - {"constructor"}
        assert found == methods_of_python()


def test_its_version_is_that_of_the_package() -> None:
    package = json.loads((build_clients.JAVASCRIPT / "package.json").read_text())
    assert package["version"] == __version__


@pytest.mark.slow
def test_its_types_are_made_from_the_description_and_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("npx") is None:
        pytest.skip("needs npx")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_fetch_timeout", "20000")
    folder = tmp_path / "client"
    try:
        build_clients.write_javascript(folder)
        (folder / "use.ts").write_text(USE)
        compiled = ["npx", "--yes", "--package", "typescript@5.9", "tsc", "--noEmit", "--strict"]
        compiled += [
            "--module",
            "nodenext",
            "--target",
            "es2022",
            "--lib",
            "es2022,dom",
            str(folder / "use.ts"),
        ]
        done = subprocess.run(compiled, capture_output=True, text=True, cwd=folder, timeout=120)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"needs the registry of npm: {error.stderr[-200:]!r}")
    lines = USE.splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("// wrong")}
    assert {int(one) for one in re.findall(r"use\.ts\((\d+),", done.stdout)} == wrong, done.stdout


USE = """import { Client, ServiceError } from "./client.js";
const client = new Client("https://rag.example", { key: "a" });
const found = await client.search({ query: "meals", filters: { path_prefix: "hr/" } });
const score: number = found.hits[0].scores.fused;
await client.putDocument("crm", "17", { text: "a", access: { allow: ["group:hr"] } }, { key: "1" });
await client.sendBatch("crm", { sendings: [{ action: "delete", key: "2", id: "17" }] });
try { await client.search("meals"); } catch (error) {
  if (error instanceof ServiceError && error.kind === "ThrottledError") console.log(error.retryAfter, score);
}
await client.search({ query: "meals", mode: "fast" }); // wrong
await client.search({ question: "meals" }); // wrong
await client.putDocument("crm", "17", { text: "a" }); // wrong
const text: string = found.hits[0].pages; // wrong
"""
