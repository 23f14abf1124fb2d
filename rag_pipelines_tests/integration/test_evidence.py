"""Evidence packs: what they hold and what not, and that whatever is done to one is found."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from rag_pipelines.audit.chain import Anchor, read_head
from rag_pipelines.audit.evidence import RECORDS, check_pack
from rag_pipelines.audit.signing import key_file, public_file, sign
from rag_pipelines.errors import UsageError
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.store.switches import turn_on
from rag_pipelines.verification.verify import verify_source
from rag_pipelines_tests.integration.workspace import Workspace

SECRET_TEXT = "The margin is eleven percent"


@pytest.fixture
def worked(workspace: Workspace) -> Workspace:
    """Something of everything: a version, gates, a purge, a verification, a switch."""
    workspace.write("annas-contract.md", f"# Contract\n\n{SECRET_TEXT}.")
    workspace.write("open.md", "# Open\n\nThe ferry leaves at nine.")
    workspace.refresh()
    (workspace.docs / "annas-contract.md").unlink()
    workspace.ingest()
    purge_document(workspace.database, workspace.settings, "docs", "annas-contract.md", reason="she left")
    verify_source(workspace.runtime, "docs")
    turn_on(workspace.database, workspace.settings, "lexical-only", "main", reason="a test", actor="ann")
    return workspace


@pytest.fixture
def pack(worked: Workspace, call: Callable[..., Result]) -> Path:
    file = worked.folder / "evidence.zip"
    done = call("evidence", "--since", "2020-01-01", "--output", str(file))
    assert done.exit_code == 0, done.output
    return file


def contents(pack: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(pack) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rewritten(pack: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(pack, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return pack


def test_a_pack_holds_what_was_done_and_proven_and_by_whom(pack: Path, worked: Workspace) -> None:
    held = {name: json.loads(contents(pack)[f"{name}.json"]) for name in RECORDS}

    assert {row["gate"] for row in held["gates"]} >= {"access_proof", "recall"}
    assert all(row["passed"] for row in held["gates"])
    assert held["versions"][0]["state"] == "live"
    assert [row["reason"] for row in held["erasures"]] == ["she left"]
    assert held["erasures"][0]["digests"] > 0
    assert {row["complete"] for row in held["certificates"]} == {True}
    assert [(row["kind"], row["started_by"]) for row in held["switches"]] == [("lexical-only", "ann")]
    assert {row["action"] for row in held["actions"]} >= {"promote", "purge", "switch on"}
    assert {"actor": "ann", "action": "switch on", "times": 1}.items() <= next(
        row for row in held["people"] if row["actor"] == "ann"
    ).items()
    with worked.database.connection() as connection:
        assert check_pack(pack).manifest.audit == str(read_head(connection))
    assert b"switch on" in contents(pack)["summary.html"]


def test_a_pack_holds_no_text_and_no_id_of_a_document(pack: Path) -> None:
    everything = b"".join(contents(pack).values())

    for words in (SECRET_TEXT, "annas-contract", "ferry", "open.md"):
        assert words.encode() not in everything


def test_a_span_leaves_out_what_was_done_before(worked: Workspace, call: Callable[..., Result]) -> None:
    (moment,) = worked.rows("SELECT (max(at) + interval '1 microsecond')::text AS at FROM rag.audit")
    turn_on(worked.database, worked.settings, "read-only", reason="later", actor="bob")
    file = worked.folder / "later.zip"

    call("evidence", "--since", moment["at"].replace(" ", "T") + ":00", "--output", str(file))

    assert [row["actor"] for row in json.loads(contents(file)["actions.json"])] == ["bob"]
    assert json.loads(contents(file)["erasures.json"]) == []
    assert len(json.loads(contents(file)["switches.json"])) == 2, "the one that is still on counts too"


def test_a_pack_is_checked_with_the_public_key_and_without_a_database(
    pack: Path, worked: Workspace, call: Callable[..., Result]
) -> None:
    public = public_file(key_file(worked.settings.data_dir))
    assert key_file(worked.settings.data_dir).stat().st_mode & 0o077 == 0
    worked.document["database"]["url"] = "postgresql://postgres@127.0.0.1:1/nowhere"

    good = call("evidence", "--verify", str(pack), "--public-key", str(public))
    unknown = call("evidence", "--verify", str(pack))

    assert good.exit_code == unknown.exit_code == 0
    assert "is as it was signed" in good.stdout
    assert "whose key signed it is not known" in unknown.stderr
    assert "not known" not in good.stderr


@pytest.mark.parametrize("name", [*(f"{name}.json" for name in RECORDS), "summary.html", "manifest.json"])
def test_a_file_that_was_changed_is_found(pack: Path, name: str) -> None:
    files = contents(pack)
    changed = files[name].replace(b"ann", b"eve", 1) if b"ann" in files[name] else files[name] + b" "

    faults = check_pack(rewritten(pack, {**files, name: changed})).faults

    assert any(name in fault for fault in faults)


def test_a_file_that_was_put_in_or_taken_out_is_found(pack: Path) -> None:
    files = contents(pack)
    less = {name: content for name, content in files.items() if name != "gates.json"}

    assert check_pack(rewritten(pack, {**files, "more.txt": b"x"})).faults == ["more.txt was put in"]
    assert check_pack(rewritten(pack, less)).faults == ["gates.json is missing"]


def test_a_pack_that_another_signed_is_told_by_the_makers_key(
    pack: Path, tmp_path: Path, worked: Workspace
) -> None:
    files = contents(pack)
    signature, public = sign(files["manifest.json"], tmp_path / "eve.pem")
    told = json.loads(files["signature.json"])
    told |= {"signature": base64.b64encode(signature).decode(), "public_key": public.decode()}
    rewritten(pack, {**files, "signature.json": json.dumps(told).encode()})

    assert check_pack(pack).faults == []
    makers = public_file(key_file(worked.settings.data_dir)).read_bytes()
    assert check_pack(pack, makers).faults == ["it was signed with another key"]


def test_the_head_in_a_pack_finds_rows_that_are_gone_later(
    pack: Path, worked: Workspace, call: Callable[..., Result]
) -> None:
    head = Anchor.parse(check_pack(pack).manifest.audit)
    with worked.database.transaction() as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM rag.audit WHERE position = %s", (head.position,))
        connection.execute(
            "UPDATE rag.audit_head SET (position, hash) = (SELECT position, hash FROM rag.audit"
            " ORDER BY position DESC LIMIT 1)"
        )

    assert call("audit", "verify").exit_code == 0
    assert call("audit", "verify", "--anchor", str(head)).exit_code == 1


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_pack_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.zip"):
        check_pack(file)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name the time and the file"),
        (("--since", "2020-01-01"), "name the time and the file"),
        (("--since", "2999-01-01", "--output", "new.zip"), "is not before now"),
        (("--since", "2020-01-01", "--output", "rag.yaml"), "is there already"),
        (("--verify", "x.zip", "--since", "2020-01-01"), "--verify checks a file"),
        (("--since", "2020-01-01", "--output", "new.zip", "--key", "rag.yaml"), "holds no private key"),
    ],
)
def test_a_wrong_command_says_what_is_valid(
    call: Callable[..., Result], arguments: tuple[str, ...], says: str
) -> None:
    done = call("evidence", *arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
