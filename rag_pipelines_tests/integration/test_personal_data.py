"""Personal data and secrets of a source: found, masked, blocked or kept for some readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from psycopg import sql
from typer.testing import Result

from rag_pipelines.errors import ConfigError, GateError, UsageError
from rag_pipelines.index.promotion import collect_versions, promote, rollback
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.privacy.masks import Place, clear_span
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines_tests.integration.workspace import Workspace

CARD = "4539 9889 1572 0591"
EMAIL = "lea.vind@superrito.com"
IBAN = "DE89370400440532013000"
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
BSN = "111222333"

PAGE = f"""---
title: Letter of {EMAIL}
author: {EMAIL}
reviewed: ok
---
# Complaint of {EMAIL}

The customer writes about the umbrella. Her card is {CARD}, call [her]({"mailto:" + EMAIL}).

| Name | BSN |
|---|---|
| Ada | {BSN} |

## Refund

Paid to {IBAN} in the harbour office. The robot uses {TOKEN} there.
"""

VALUES = (CARD, EMAIL, IBAN, TOKEN, BSN)


def screen_by(workspace: Workspace, **profile: Any) -> None:
    """The source's documents are screened by this profile from now on."""
    workspace.document["profiles"]["privacy"] = {"staff": profile}
    workspace.document["sources"]["docs"]["privacy"] = "staff"


def text_of(workspace: Workspace) -> str:
    """The canonical text of the one document, as it is stored."""
    with workspace.database.connection() as connection:
        row = connection.execute(
            "SELECT p.blocks_sha256 FROM rag.document JOIN rag.parse p USING (parse_id)"
        ).fetchone()
    assert row is not None
    return decode_parsed(BlobStore.of(workspace.settings).get("blocks", bytes(row["blocks_sha256"]))).text


def database_dump(workspace: Workspace) -> bytes:
    """Every row of every table, as text."""
    dump: list[bytes] = []
    with workspace.database.connection() as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'rag' ORDER BY tablename"
        ).fetchall()
        for row in tables:
            copy = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(
                sql.Identifier("rag", row["tablename"])
            )
            with connection.cursor() as cursor, cursor.copy(copy) as out:
                dump += [bytes(part) for part in out]
    return b"".join(dump)


def values_in(content: bytes) -> list[str]:
    """Which of the values stand in some bytes, in any spelling that is kept."""
    plain = content.replace(b" ", b"").lower()
    return [value for value in VALUES if value.replace(" ", "").lower().encode() in plain]


def test_masked_text_is_nowhere_but_in_the_raw_bytes(workspace: Workspace, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    screen_by(workspace, mode="mask")
    workspace.write("letter.md", PAGE)

    workspace.refresh()
    hits = workspace.search("umbrella harbour refund card")

    assert hits
    assert "[CARD]" in "".join(hit.text for hit in hits)
    assert values_in(database_dump(workspace)) == []
    assert values_in(caplog.text.encode()) == []
    stored = BlobStore.of(workspace.settings)
    blocks = [stored.get("blocks", digest) for digest in stored.digests("blocks")]
    assert blocks
    assert values_in(b"".join(blocks)) == []
    raw = [stored.get("raw", digest) for digest in stored.digests("raw")]
    assert values_in(b"".join(raw)) == list(VALUES)


def test_without_masks_the_dump_shows_the_values(workspace: Workspace):
    """What the test above searches would hold them."""
    workspace.write("letter.md", PAGE)

    workspace.refresh()

    assert values_in(database_dump(workspace)) == list(VALUES)


def test_offsets_of_masked_text_lead_back_to_the_clear_text(workspace: Workspace):
    workspace.write("letter.md", PAGE)
    workspace.ingest()
    clear = text_of(workspace)
    screen_by(workspace, mode="mask")
    workspace.refresh()

    masked = text_of(workspace)
    with workspace.database.connection() as connection:
        row = connection.execute(
            "SELECT p.places FROM rag.document JOIN rag.parse p USING (parse_id)"
        ).fetchone()
        chunks = connection.execute(
            "SELECT c.* FROM rag.document_chunks JOIN rag.chunk c USING (chunk_set_id)"
        )
        chunks = chunks.fetchall()
    assert row is not None
    places = msgspec.convert(row["places"], list[Place])

    assert masked != clear
    for place in places:
        start, end = clear_span(places, place.start, place.end)
        assert masked[place.start : place.end] == place.kind.mask
        assert clear[start:end] in (*VALUES, "her")
    for chunk in chunks:
        start, end = clear_span(places, chunk["start_at"], chunk["end_at"])
        beginning, ending = chunk["text"].split()[0], chunk["text"].split()[-1]
        assert clear[start:end].split()[0] == beginning or beginning.startswith("[")
        assert clear[start:end].split()[-1] == ending or "[" in ending


def test_detecting_parses_chunks_and_embeds_nothing_again(workspace: Workspace):
    workspace.write("letter.md", PAGE)
    workspace.refresh()
    before = database_counts(workspace)
    screen_by(workspace)

    report = workspace.ingest()

    assert report.parsed == 1
    assert report.seconds.get("parse (workers)", 0) < 1
    assert report.chunks == 0
    assert report.embedded == 0
    assert database_counts(workspace) == before
    with workspace.database.connection() as connection:
        row = connection.execute(
            "SELECT p.found, p.places FROM rag.document JOIN rag.parse p USING (parse_id)"
        ).fetchone()
    assert row is not None
    assert row["found"].keys() == {"card", "email", "iban", "token", "nl_bsn"}
    assert values_in(json.dumps([row["found"], row["places"]]).encode()) == []


def test_a_source_without_a_profile_keeps_its_fingerprints(workspace: Workspace):
    from rag_pipelines.parsing.fingerprints import parser_fingerprints
    from rag_pipelines.sync.targets import current_parsers

    workspace.write("letter.md", PAGE)
    workspace.ingest()
    options = workspace.settings.parse_options("docs")

    assert parser_fingerprints(options).items() <= current_parsers(options).items()
    screen_by(workspace)
    workspace.document["sources"]["docs"].pop("privacy")
    report = workspace.ingest()
    assert report.parsed == 0


def database_counts(workspace: Workspace) -> list[int]:
    with workspace.database.connection() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM rag.chunk) AS chunks, "
            "(SELECT count(*) FROM rag.embedding) AS vectors"
        ).fetchone()
    assert row is not None
    return list(row.values())


def test_a_version_with_clear_text_of_a_masking_source_is_not_promoted(workspace: Workspace):
    workspace.write("letter.md", PAGE)
    workspace.refresh()
    workspace.write("other.md", "# Other\n\nNothing about anybody.")
    workspace.ingest()
    version = workspace.build()
    screen_by(workspace, mode="mask")

    assert workspace.validate(version)["personal_data"] is False
    with pytest.raises(
        GateError, match=r"passages of 2 documents were not masked.*rag-pipelines ingest docs"
    ):
        promote(workspace.database, "main", version.version_id)


def test_a_version_whose_titles_are_clear_is_not_promoted(workspace: Workspace):
    screen_by(workspace, mode="mask")
    workspace.write("letter.md", "# Umbrella\n\nNothing about anybody.")
    workspace.ingest()
    version = workspace.build()
    with workspace.database.transaction() as connection:
        connection.execute("UPDATE rag.document SET masked_by = NULL")

    assert workspace.validate(version)["personal_data"] is False


def test_clear_text_is_collected_once_the_masked_version_is_live(workspace: Workspace):
    workspace.write("letter.md", PAGE)
    first = workspace.refresh()
    assert values_in(database_dump(workspace)) == list(VALUES)
    screen_by(workspace, mode="mask")

    masked = workspace.refresh()
    with pytest.raises(UsageError, match=r"text that its sources mask by now \(docs: \d+ passages\)"):
        rollback(workspace.database, "main", first.version_id)
    index = workspace.settings.index("main")
    assert first.version_id in collect_versions(workspace.database, "main", index)
    for _ in range(2):
        collect_garbage(workspace.database, workspace.settings)

    assert values_in(database_dump(workspace)) == []
    stored = BlobStore.of(workspace.settings)
    blocks = b"".join(stored.get("blocks", digest) for digest in stored.digests("blocks"))
    assert values_in(blocks) == []
    assert masked.version_id not in collect_versions(workspace.database, "main", index)


def test_titles_that_were_stored_before_are_masked_by_the_next_run(workspace: Workspace):
    workspace.write(f"{EMAIL}.md", "# Umbrella\n\nNothing about anybody.")
    workspace.ingest()
    screen_by(workspace, mode="mask")

    workspace.ingest()

    with workspace.database.connection() as connection:
        row = connection.execute("SELECT name, external_id FROM rag.document").fetchone()
    assert row == {"name": "[EMAIL].md", "external_id": f"{EMAIL}.md"}
    assert workspace.ingest().changes == {"unchanged": 1}


def test_a_blocked_document_is_quarantined_and_loses_its_text(workspace: Workspace):
    workspace.write("letter.md", PAGE)
    workspace.write("other.md", "# Other\n\nNothing about anybody and an umbrella.")
    workspace.refresh()
    screen_by(workspace, mode="block", kinds=["card", "iban"])

    report = workspace.ingest()
    workspace.publish()

    assert report.statuses == {"sensitive": 1, "ok": 1}
    with workspace.database.connection() as connection:
        row = connection.execute("SELECT status, message, external_id FROM rag.quarantine").fetchone()
    assert row is not None
    assert row["status"] == "sensitive"
    assert row["external_id"] == "letter.md"
    assert "1 card, 1 iban" in row["message"]
    assert {hit.external_id for hit in workspace.search("umbrella")} == {"other.md"}


def test_a_blocked_document_that_was_cleaned_is_served_again(workspace: Workspace):
    screen_by(workspace, mode="block")
    workspace.write("letter.md", PAGE)
    workspace.ingest()

    workspace.write("letter.md", "# Umbrella\n\nNothing about anybody.")
    workspace.refresh()

    assert [hit.external_id for hit in workspace.search("umbrella")] == ["letter.md"]
    with workspace.database.connection() as connection:
        assert connection.execute("SELECT FROM rag.quarantine").fetchone() is None


def seen(workspace: Workspace, *principals: str) -> set[str]:
    return {hit.external_id for hit in workspace.search("umbrella", principals=list(principals))}


@pytest.fixture
def restricted(workspace: Workspace) -> Workspace:
    screen_by(workspace, mode="restrict", readers=["group:privacy"])
    workspace.write("letter.md", PAGE)
    workspace.write("other.md", "# Other\n\nNothing about anybody and an umbrella.")
    workspace.refresh()
    return workspace


def test_only_readers_see_a_restricted_document(restricted: Workspace):
    assert seen(restricted) == {"other.md"}
    assert seen(restricted, "group:privacy") == {"letter.md", "other.md"}


def test_a_listing_that_says_the_same_again_leaves_the_restriction(restricted: Workspace):
    report = restricted.ingest()

    assert report.changes == {"unchanged": 2}
    assert seen(restricted) == {"other.md"}


def test_a_rule_of_the_source_that_changes_keeps_the_restriction(restricted: Workspace):
    restricted.document["sources"]["docs"]["access"] = ["group:staff"]
    restricted.ingest()

    assert seen(restricted, "group:privacy") == set()
    assert seen(restricted, "group:staff") == {"other.md"}
    assert seen(restricted, "group:staff", "group:privacy") == {"letter.md", "other.md"}


def test_a_document_that_was_cleaned_has_the_rule_of_its_source_again(restricted: Workspace):
    restricted.write("letter.md", "# Umbrella\n\nNothing about anybody.")
    restricted.refresh()

    assert seen(restricted) == {"letter.md", "other.md"}


def test_a_source_that_screens_no_more_restricts_no_more(restricted: Workspace):
    restricted.document["sources"]["docs"].pop("privacy")
    restricted.refresh()

    assert seen(restricted) == {"letter.md", "other.md"}


def test_a_document_that_moves_stays_restricted(restricted: Workspace):
    (restricted.docs / "letter.md").rename(restricted.docs / "moved.md")
    report = restricted.ingest()

    assert report.changes["moved"] == 1
    assert seen(restricted) == {"other.md"}
    assert seen(restricted, "group:privacy") == {"moved.md", "other.md"}
    restricted.ingest()
    assert seen(restricted) == {"other.md"}


def test_findings_are_listed_by_kind_and_never_with_values(workspace: Workspace, call: Callable[..., Result]):
    screen_by(workspace)
    workspace.write("letter.md", PAGE)
    workspace.ingest()

    listed, status = call("privacy", "findings", "--json"), call("status")

    made = json.loads(listed.output)
    assert made["sources"] == [{"source": "docs", "screened": 1, "finding": 1, "blocked": 0, "restricted": 0}]
    assert {(row["kind"], row["documents"]) for row in made["kinds"]} >= {("card", 1), ("nl_bsn", 1)}
    assert made["documents"][0]["external_id"] == "letter.md"
    assert values_in(listed.output.encode()) == []
    table = call("privacy", "findings", "docs")
    assert "1 document screened by the profile staff" in table.stderr
    assert "nl_bsn" in table.output
    assert "1 document with personal data" in status.stderr


def test_a_profile_is_tried_out_on_a_file_without_showing_values(
    workspace: Workspace, call: Callable[..., Result]
):
    screen_by(workspace, kinds=["card", "nl_bsn"])
    workspace.write("letter.md", f"# Umbrella\n\nHer card is {CARD}.\n\nNumber {BSN} of something.\n")
    file = str(workspace.docs / "letter.md")

    tried, shown = (
        call("privacy", "try", file, "--json"),
        call("privacy", "try", file, "--show-values", "--json"),
    )

    assert values_in(tried.output.encode()) == []
    assert [(one["kind"], one["line"], one["column"], one["counts"]) for one in json.loads(tried.output)] == [
        ("card", 3, 13, True),
        ("nl_bsn", 5, 8, False),
    ]
    assert [one["value"] for one in json.loads(shown.output)] == [CARD, BSN]
    refused = call("privacy", "try", file, "--profile", "none")
    assert refused.exit_code == 2
    assert "no privacy profile 'none'; valid: staff" in refused.stderr
    assert "cannot read" in call("privacy", "try", "none.pdf").stderr


def test_metrics_count_what_was_found(workspace: Workspace):
    from prometheus_client import CollectorRegistry

    from rag_pipelines.monitoring.catalogue import CatalogueMetrics

    screen_by(workspace, mode="block", kinds=["iban"])
    workspace.write("letter.md", PAGE)
    workspace.write("other.md", "# Other\n\nNothing about anybody.")
    workspace.ingest()
    registry = CollectorRegistry()
    registry.register(CatalogueMetrics(workspace.database, workspace.settings))

    def figure(outcome: str) -> float | None:
        labels = {"source": "docs", "outcome": outcome}
        return registry.get_sample_value("rag_source_screened_documents", labels)

    assert [figure(outcome) for outcome in ("screened", "finding", "blocked")] == [1, 0, 1]
    screen_by(workspace)
    workspace.ingest()
    assert registry.get_sample_value("rag_source_findings", {"source": "docs", "kind": "iban"}) == 1


def test_a_profile_that_is_wrong_is_told_with_its_place(workspace: Workspace):
    screen_by(workspace, mode="hide", kinds=["card", "shoe"])
    with pytest.raises(
        ConfigError, match=r"profiles\.privacy\.staff\.mode .* received 'hide'; valid: .*'mask'"
    ):
        workspace.settings  # noqa: B018
    screen_by(workspace, mode="restrict")
    with pytest.raises(ConfigError, match=r"profiles\.privacy\.staff .*'readers' with mode restrict"):
        workspace.settings  # noqa: B018
    workspace.document["profiles"]["privacy"] = {"other": {}}
    with pytest.raises(ConfigError, match=r"sources\.docs\.privacy .* received 'staff'; valid: .*\(other\)"):
        workspace.settings  # noqa: B018


def test_a_plan_says_what_masking_costs_and_stores_no_clear_title(workspace: Workspace):
    from rag_pipelines.sync.plan import apply_plan, plan_source

    screen_by(workspace, mode="mask")
    workspace.write("letter.md", PAGE)

    plan = plan_source(workspace.runtime, "docs")
    assert plan.plan_id is not None
    assert plan.chunks > 0
    apply_plan(workspace.runtime, plan.plan_id)

    assert values_in(database_dump(workspace)) == []


def test_a_document_that_cannot_be_read_keeps_no_clear_text(workspace: Workspace):
    workspace.write("letter.pdf", "%PDF-1.4 broken")
    workspace.write("letter.md", PAGE)
    workspace.refresh()
    workspace.write("letter.md", b"\x00\x01" * 500)
    workspace.ingest()
    assert workspace.search("umbrella")
    screen_by(workspace, mode="mask")

    workspace.ingest()

    assert workspace.rows("SELECT FROM rag.document_chunks") == []


def test_another_mask_than_before_is_screened_again(workspace: Workspace):
    screen_by(workspace, mode="mask", kinds=["card"])
    workspace.write("letter.md", PAGE)
    workspace.refresh()
    assert "[CARD]" in text_of(workspace)
    assert EMAIL in text_of(workspace)
    screen_by(workspace, mode="mask")
    workspace.refresh()

    assert "[CARD]" in text_of(workspace)
    assert EMAIL not in text_of(workspace)
