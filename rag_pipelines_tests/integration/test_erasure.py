"""A person is found everywhere, erased beside a run and a build, and the receipt is checked later."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from rag_pipelines.errors import DriftError, SwitchedOffError, UsageError
from rag_pipelines.retention.erasure import Erasure, check_receipt, erase_subject, list_subject
from rag_pipelines.retention.holds import add_hold, release_hold
from rag_pipelines.retention.receipt import Keys, Receipt, read_receipt, write_receipt
from rag_pipelines.retention.subject import Identifiers
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.serving.sessions import SessionEndedError, Sessions
from rag_pipelines.serving.sign_in import SignedIn
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.embedded import server_programs
from rag_pipelines.store.switches import turn_on
from rag_pipelines_tests.integration.test_purge_beside import At
from rag_pipelines_tests.integration.workspace import Workspace

ANN = ["ann.quetzal@example.com", "Ann Quetzal"]
WORDS = (b"quetzal", b"Quetzal", b"QUETZAL")
OTHERS = (b"quetzalcoatl", b"joann.quetzal")


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    """Documents that name Ann in their text, their path and their author; one that does not; her in access,
    in a group, in evaluations, feedback, quarantine, hints and the audit."""
    workspace.write("cases/ann quetzal.md", "# A case\n\nNothing is said here.")
    workspace.write("minutes.md", "# Minutes\n\nPresent: Bob Heron and Ann\nQuetzal, who asked about herons.")
    workspace.write("authored.md", "---\nauthor: ANN.QUETZAL@example.com\n---\n\n# Notes\n\nAbout coots.")
    workspace.write("shared.md", "# Shared\n\nAbout grebes.")
    workspace.write("shared.md.access.yaml", "allow: [user:ann.quetzal@example.com, group:staff]")
    workspace.write(
        "other.md", "# Other\n\nAnn Quetzalcoatl is somebody else, and so is joann.quetzal@example.com."
    )
    workspace.refresh()
    workspace.rows(
        "INSERT INTO rag.principal_group (source_id, principal, name, observed_at)"
        " SELECT source_id, 'group:staff', 'Staff', now() FROM rag.source RETURNING 1"
    )
    workspace.rows(
        "INSERT INTO rag.membership (source_id, principal, member, observed_at)"
        " SELECT source_id, 'group:staff', 'user:ann.quetzal@example.com', now() FROM rag.source RETURNING 1"
    )
    version = workspace.rows("SELECT version_id FROM rag.index_version WHERE state = 'live'")[0]["version_id"]
    workspace.rows(
        "INSERT INTO rag.feedback (answer, index_name, version_id, verdict, reason)"
        " VALUES (gen_random_uuid(), 'main', %s, 'down', 'Ann  Quetzal says no') RETURNING 1",
        version,
    )
    workspace.rows(
        "WITH r AS (INSERT INTO rag.evaluation_run"
        " (index_name, version_id, golden, golden_key, setting, summary, started_at)"
        " VALUES ('main', %s, 'g', 'k', '{}', '{\"by\": \"ann.quetzal@example.com\"}', now())"
        " RETURNING run_id) INSERT INTO rag.evaluation_answer SELECT run_id, 0, 'q1', 'is ann quetzal in?',"
        " '{}', true, 0.5, '{}', '[]', '[{\"text\": \"Ann Quetzal\"}]', 1, 1 FROM r RETURNING 1",
        version,
    )
    workspace.rows("INSERT INTO rag.hint (source, key) VALUES ('docs', 'cases/ann quetzal.md') RETURNING 1")
    with workspace.database.connection() as connection:
        record_audit(connection, "override", "main", {"reason": "asked for by Ann Quetzal"}, ANN[0])
    return workspace


def listed(workspace: Workspace, **options: object) -> Erasure:
    return list_subject(workspace.database, workspace.settings, ANN, reason="request 7", **options)  # type: ignore[arg-type]


def erase(workspace: Workspace, number: int, **options: object) -> Receipt:
    return erase_subject(workspace.database, workspace.settings, number, ANN, **options)  # type: ignore[arg-type]


def leave_source(workspace: Workspace) -> None:
    """What names Ann is deleted at its source, and so is what the source says of her."""
    for path in ("cases/ann quetzal.md", "minutes.md", "authored.md"):
        (workspace.docs / path).unlink()
    workspace.write("shared.md.access.yaml", "allow: [group:staff]")


def dump(workspace: Workspace) -> bytes:
    """All bytes of a dump of the database, and of every object of the blob store."""
    made = subprocess.run(
        [server_programs() / "pg_dump", "--schema=rag", workspace.url], capture_output=True, check=True
    )
    store = BlobStore.of(workspace.settings)
    blobs = [store.get(kind, digest) for kind in ("raw", "blocks") for digest in store.digests(kind)]
    return made.stdout + b"\n".join(blobs)


def named_in(data: bytes) -> list[bytes]:
    """Lines that name Ann; somebody else has a name that begins like hers."""
    lines = [line for line in data.splitlines() if any(word in line for word in WORDS)]
    return [line for line in lines if not any(other in line.lower() for other in OTHERS)]


def test_the_list_says_what_is_purged_rewritten_and_left_to_a_person(workspace: Workspace) -> None:
    golden = workspace.folder / "golden.jsonl"
    golden.write_text('{"id": "q1", "query": "herons?"}\n{"id": "q2", "query": "where is Ann Quetzal?"}\n')
    workspace.document["indexes"]["main"]["golden"] = str(golden)
    workspace.document["sources"]["docs"]["owner"] = ANN[0]

    found = listed(workspace).found

    assert {one.external_id: one.places for one in found.documents} == {
        "authored.md": ["blocks bytes", "raw bytes", "what the file says of itself"],
        "cases/ann quetzal.md": ["path"],
        "minutes.md": ["blocks bytes", "raw bytes", "text"],
    }
    assert {
        "access_rule",
        "membership",
        "feedback.reason",
        "audit.actor",
        "audit.detail",
    } <= found.rows.keys()
    assert {
        "evaluation_answer.query",
        "evaluation_answer.hits",
        "evaluation_run.summary",
    } <= found.rows.keys()
    assert any(f"{golden}, lines 2" in one for one in found.human)
    assert "the configuration at sources.docs.owner: edit the file" in found.human
    assert workspace.paths("herons", mode="lexical") == {"minutes.md"}


def test_the_person_is_signed_out_and_nobody_else(workspace: Workspace) -> None:
    sessions = Sessions(workspace.database, timedelta(hours=1))
    tokens = [
        sessions.begin(SignedIn(RequestCaller(name, "default", (principal, "group:staff")), shown))
        for name, principal, shown in (
            ("sso:17", "user:ann.quetzal@example.com", "Ann"),
            ("sso:18", "user:a.q@example.com", "ANN  QUETZAL"),
            ("sso:19", "user:joann.quetzal@example.com", "Joann"),
        )
    ]
    leave_source(workspace)
    workspace.ingest()
    waiting = listed(workspace)
    assert waiting.found.rows["session"] == 2

    receipt = erase(workspace, waiting.erasure_id)

    assert (receipt.rows["session"], receipt.left) == (2, {})
    for token in tokens[:2]:
        with pytest.raises(SessionEndedError):
            sessions.find(token)
    assert sessions.find(tokens[2]).shown == "Joann"


def test_nothing_of_the_person_is_in_a_dump_after_an_erasure_beside_a_run_and_a_build(
    workspace: Workspace,
) -> None:
    (workspace.folder / "notes").mkdir()
    workspace.document["sources"]["notes"] = {
        **workspace.document["sources"]["docs"],
        "options": {"root": str(workspace.folder / "notes")},
    }
    workspace.document["indexes"]["main"]["sources"] = ["docs", "notes"]
    leave_source(workspace)
    workspace.ingest()
    (workspace.folder / "notes" / "n.md").write_text("# N\n\nNew text about dippers.")
    number = listed(workspace).erasure_id
    assert named_in(dump(workspace))

    erasing = At("turning words around", lambda: erase(workspace, number))
    building = At("prepare", lambda: workspace.build(full=True, progress=erasing))
    report = workspace.ingest("notes", progress=building)

    receipt = erasing.result
    assert isinstance(receipt, Receipt)
    assert report.sound
    assert (len(receipt.documents), receipt.left, receipt.stayed) == (3, {}, {})
    assert any("is being built" in one for one in receipt.waiting)
    assert named_in(dump(workspace)) == []
    checked = check_receipt(workspace.database, workspace.settings, receipt, ANN)
    assert checked.clean
    assert checked.found is not None
    assert (checked.found.documents, checked.found.rows) == ([], {})
    workspace.publish()
    assert workspace.paths("dippers", mode="lexical") == {"n.md"}


def test_a_rule_that_loses_a_name_lets_nobody_in(workspace: Workspace) -> None:
    leave_source(workspace)
    workspace.write("shared.md.access.yaml", f"allow: [user:{ANN[0]}]\ndeny: [user:{ANN[0]}, group:x]")
    workspace.refresh()
    assert workspace.paths("grebes", mode="lexical", principals=["group:staff"]) == set()
    erase(workspace, listed(workspace).erasure_id)
    for principals in ([], ["group:staff"], ["everyone"]):
        assert workspace.paths("grebes", mode="lexical", principals=principals) == set()
    (rule,) = workspace.rows(
        "SELECT clauses, deny FROM rag.access_rule JOIN rag.document USING (access_id)"
        " WHERE external_id = 'shared.md'"
    )
    assert rule["clauses"][0][0].startswith("user:(erased ")
    assert len(rule["deny"]) == 2


def test_rules_that_differ_in_the_spelling_of_the_person_alone_become_alike(workspace: Workspace) -> None:
    leave_source(workspace)
    for name, spelled in (("shared", ANN[0]), ("coots", ANN[0].upper())):
        workspace.write(f"{name}.md", f"# {name}\n\nAbout grebes.")
        workspace.write(f"{name}.md.access.yaml", f"allow: [user:{spelled}]")
    workspace.refresh()

    receipt = erase(workspace, listed(workspace).erasure_id)

    assert receipt.rows["access_rule"] >= 2
    assert named_in(json.dumps(workspace.rows("SELECT clauses FROM rag.access_rule")).encode()) == []


def test_the_rule_that_a_restricted_document_had_before_is_rewritten_too(workspace: Workspace) -> None:
    leave_source(workspace)
    workspace.document["profiles"]["privacy"] = {"closed": {"mode": "restrict", "readers": ["group:privacy"]}}
    workspace.document["sources"]["docs"]["privacy"] = "closed"
    workspace.write("shared.md", "# Shared\n\nAbout grebes. Write to bob.heron@example.com.")
    workspace.write("shared.md.access.yaml", f"allow: [user:{ANN[0]}, group:staff]")
    workspace.refresh()
    workspace.write("shared.md.access.yaml", "allow: [group:staff]")
    (kept,) = workspace.rows("SELECT own_access FROM rag.document WHERE external_id = 'shared.md'")
    assert ANN[0] in json.dumps(kept)

    erasure = listed(workspace)
    assert erasure.found.rows["document.own_access"] == 1
    receipt = erase(workspace, erasure.erasure_id)

    assert receipt.left == {}
    assert named_in(dump(workspace)) == []


def test_the_receipt_names_nobody_and_a_changed_one_is_found(workspace: Workspace, tmp_path: Path) -> None:
    leave_source(workspace)
    workspace.ingest()
    receipt = erase(workspace, listed(workspace).erasure_id)
    path = tmp_path / "receipt.json"
    write_receipt(receipt, path)
    text = path.read_text()
    assert named_in(text.encode()) == []
    assert "minutes" not in text
    assert read_receipt(path) == receipt

    path.write_text(text.replace('"human": 0', '"human": 1'))
    forged = check_receipt(workspace.database, workspace.settings, read_receipt(path))
    assert forged.fault is not None
    assert "was changed after it was made" in forged.fault
    workspace.document["erasure"] = {"key": "another secret of at least 32 characters"}
    other = check_receipt(workspace.database, workspace.settings, receipt)
    assert other.fault is not None
    assert "another key" in other.fault


def test_a_receipt_finds_what_came_back(workspace: Workspace) -> None:
    text = (workspace.docs / "minutes.md").read_text()
    leave_source(workspace)
    workspace.ingest()
    receipt = erase(workspace, listed(workspace).erasure_id)
    workspace.write("minutes.md", text)
    workspace.ingest()
    checked = check_receipt(workspace.database, workspace.settings, receipt, ANN)
    assert not checked.clean
    assert checked.back == ["docs:minutes.md"]
    assert "rag.chunk" in {one.place for one in checked.proof.traces}


def test_what_is_held_or_kept_stays_and_the_receipt_counts_it(workspace: Workspace) -> None:
    hold = add_hold(workspace.database, reason="matter", source="docs", document="minutes.md")
    leave_source(workspace)
    workspace.ingest()
    erasure = listed(workspace, keep=["docs:authored.md"])
    receipt = erase(workspace, erasure.erasure_id)
    why = sorted(receipt.stayed.values())
    assert why == [f"held by hold {hold.hold_id}", "kept by who listed it"]
    assert check_receipt(workspace.database, workspace.settings, receipt, ANN).clean
    assert (len(receipt.documents), receipt.left) == (1, {})
    ids = {row["external_id"] for row in workspace.rows("SELECT external_id FROM rag.document")}
    assert ids == {"minutes.md", "authored.md", "shared.md", "other.md"}
    release_hold(workspace.database, hold.hold_id, reason="settled")
    again = erase(workspace, listed(workspace).erasure_id)
    assert (len(again.documents), again.stayed) == (2, {})


def test_a_hold_that_names_the_person_keeps_what_it_keeps(workspace: Workspace) -> None:
    hold = add_hold(workspace.database, reason="matter of Ann Quetzal", path="cases/ann quetzal*")
    leave_source(workspace)
    workspace.ingest()
    erasure = listed(workspace)
    assert (
        f"hold {hold.hold_id} names the person, and stays as it is while it is in force"
        in erasure.found.human
    )
    receipt = erase(workspace, erasure.erasure_id)
    assert (list(receipt.stayed.values()), receipt.left) == ([f"held by hold {hold.hold_id}"], {})
    release_hold(workspace.database, hold.hold_id, reason="settled")
    again = erase(workspace, listed(workspace).erasure_id)
    assert (len(again.documents), again.rows["hold"], again.left, again.human) == (1, 1, {}, 0)
    assert named_in(dump(workspace)) == []


def test_what_is_still_at_its_source_is_refused_unless_it_is_said(workspace: Workspace) -> None:
    number = listed(workspace).erasure_id
    with pytest.raises(UsageError, match="3 documents are still at their source"):
        erase(workspace, number)
    assert workspace.paths("herons", mode="lexical") == {"minutes.md"}
    assert len(erase(workspace, number, even_if_present=True).documents) == 3


def test_an_approval_is_refused_where_something_else_is_found_by_now(workspace: Workspace) -> None:
    leave_source(workspace)
    workspace.ingest()
    number = listed(workspace).erasure_id
    workspace.write("new.md", "# New\n\nAnn Quetzal again.")
    workspace.ingest()
    with pytest.raises(DriftError, match="3 documents then, 4 now"):
        erase(workspace, number)
    with pytest.raises(UsageError, match="other identifiers"):
        erase_subject(workspace.database, workspace.settings, number, ["bob@example.com"])
    assert len(workspace.rows("SELECT FROM rag.erasure WHERE state = 'applied'")) == 0


def test_an_erasure_waits_while_writing_is_switched_off(workspace: Workspace) -> None:
    leave_source(workspace)
    workspace.ingest()
    number = listed(workspace).erasure_id
    turn_on(workspace.database, workspace.settings, "read-only", "", reason="a restore")
    before = workspace.rows("SELECT * FROM rag.membership")
    with pytest.raises(SwitchedOffError, match=f"erasure {number} is refused"):
        erase(workspace, number)
    assert workspace.rows("SELECT * FROM rag.membership") == before


def test_an_erasure_is_done_once_and_a_new_list_replaces_the_one_that_waits(workspace: Workspace) -> None:
    leave_source(workspace)
    workspace.ingest()
    first, second = listed(workspace).erasure_id, listed(workspace).erasure_id
    with pytest.raises(UsageError, match="is superseded"):
        erase(workspace, first)
    erase(workspace, second)
    with pytest.raises(UsageError, match="is applied"):
        erase(workspace, second)


def test_the_audit_keeps_its_rows_with_a_pseudonym_and_holds_the_digest_of_the_receipt(
    workspace: Workspace,
) -> None:
    leave_source(workspace)
    workspace.ingest()
    receipt = erase(workspace, listed(workspace).erasure_id, actor="officer")
    (override,) = workspace.rows("SELECT actor, detail FROM rag.audit WHERE action = 'override'")
    keys = Keys(workspace.settings)
    who = Identifiers([ANN[0]], keys.pseudonyms)
    assert override["actor"] == f"(erased {who.pseudonyms[0]})"
    assert override["detail"]["reason"].startswith("asked for by (erased ")
    (row,) = workspace.rows("SELECT actor, detail FROM rag.audit WHERE action = 'erasure'")
    assert (row["actor"], row["detail"]["receipt"]) == ("officer", receipt.digest)


def test_commands_list_approve_and_check(workspace: Workspace, call: Callable[..., Result]) -> None:
    leave_source(workspace)
    workspace.ingest()
    person = ("--subject", ANN[0], "--subject", ANN[1])
    shown = call("purge", *person, "--reason", "request 7")
    assert shown.exit_code == 0, shown.output
    assert "docs:minutes.md" in shown.output
    assert "erasure 1 waits" in shown.output
    receipt = workspace.folder / "receipt.json"
    done = call("purge", *person, "--approve", "1", "--receipt", str(receipt))
    assert done.exit_code == 0, done.output
    assert "3 documents purged" in done.output
    checked = call("purge", "--receipt", str(receipt), "--verify", *person)
    assert checked.exit_code == 0, checked.output
    assert "no document names the person" in checked.output
    value = json.loads(receipt.read_text())
    receipt.write_text(json.dumps({**value, "by": "somebody"}))
    assert call("purge", "--receipt", str(receipt), "--verify").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --document"),
        (["--subject", "ann"], "at least 4"),
        (["--subject", "  "], "at least 4"),
        (["--subject", "ann.quetzal@example.com", "--keep", "docs:other.md"], "does not name the person"),
        (["--subject", "ann.quetzal@example.com", "--approve", "9"], "there is no erasure 9"),
        (["--document", "docs:a", "--subject", "ann.quetzal@example.com"], "one at a time"),
        (["--receipt", "nowhere.json", "--verify"], "holds no receipt"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    workspace: Workspace, call: Callable[..., Result], arguments: list[str], words: str
) -> None:
    refused = call("purge", *arguments)
    assert (refused.exit_code, words in refused.output) == (2, True), refused.output


def test_the_secret_is_made_once_and_only_its_owner_reads_it(workspace: Workspace) -> None:
    first, again = Keys(workspace.settings), Keys(workspace.settings)
    file = workspace.settings.data_dir / "erasure.key"
    assert (first.public, file.stat().st_mode & 0o777) == (again.public, 0o600)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Ann Quetzal", True),
        ("ANN\n\tQUETZAL's", True),
        ("(ann quetzal)", True),
        ("Joann Quetzal", False),
        ("Ann Quetzals", False),
        ("cases/ann-quetzal.md", True),
        ("the_ANN_QUETZAL_case", True),
        ("https://x/Ann%20Quetzal", True),
        ("mailto:ann.quetzal@example.com.", True),
        ("user:Ann.Quetzal@Example.com", True),
        ("joann.quetzal@example.com", False),
        ("x.ann.quetzal@example.com", False),
        ("ann.quetzal@example.com.au", False),
        ("ann.quetzal@example.company", False),
    ],
)
def test_an_identifier_is_a_whole_word_whatever_its_case(text: str, named: bool) -> None:
    who = Identifiers(ANN, b"key")
    assert (who.in_text(text), who.in_bytes(text.encode())) == (named, named)
    assert any(word in text.lower() for word in who.words) or not named
    assert not who.in_text(who.without(text))
