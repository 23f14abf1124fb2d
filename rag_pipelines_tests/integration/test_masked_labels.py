"""Documents that are masked because of their label, beside documents of the same source that are not."""

from __future__ import annotations

import pytest

from rag_pipelines.errors import ConfigError, GateError, UsageError
from rag_pipelines.index.promotion import collect_versions, promote, rollback
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.store.shards import Shard
from rag_pipelines.sync.plan import plan_source
from rag_pipelines.sync.shards import work_shard
from rag_pipelines_tests.integration.governed import Rows
from rag_pipelines_tests.integration.test_personal_data import database_dump
from rag_pipelines_tests.integration.test_shards import list_beside_shards
from rag_pipelines_tests.integration.workspace import Workspace

EMAIL = "lea.vind@superrito.com"
CARD = "4539 9889 1572 0591"
MASK = {"action": "mask", "privacy": "staff"}


@pytest.fixture
def rows(workspace: Workspace) -> Rows:
    workspace.document["profiles"]["privacy"] = {"staff": {"mode": "mask"}, "look": {"mode": "detect"}}
    made = Rows(workspace, labels={"policy": {"open": "index", "personal": MASK}})
    made.put("a", text=f"The albatross writes to {EMAIL}.", label="Personal")
    made.put("b", text=f"The bittern pays with {CARD}.", label="open")
    return made


def shown(rows: Rows, word: str) -> str:
    (hit,) = rows.workspace.search(word, k=1, mode="lexical")
    return hit.text


def test_only_what_has_the_label_is_masked(rows: Rows) -> None:
    rows.workspace.refresh()

    assert shown(rows, "albatross") == "The albatross writes to [EMAIL]."
    assert shown(rows, "bittern") == f"The bittern pays with {CARD}."
    dump = database_dump(rows.workspace)
    assert EMAIL.encode() not in dump
    assert CARD.encode() in dump


def test_a_label_that_comes_later_masks_what_is_stored_and_the_clear_version_goes(rows: Rows) -> None:
    rows.put("a", label="open")
    clear = rows.workspace.refresh()
    assert EMAIL in shown(rows, "albatross")

    rows.put("a", label="personal")
    report = rows.workspace.ingest()
    assert (report.parsed, report.bytes_loaded) == (1, 0)
    index = rows.workspace.settings.index("main")
    masked = rows.workspace.build()
    assert rows.workspace.validate(masked)["personal_data"]
    promote(rows.workspace.database, "main", masked.version_id)

    assert shown(rows, "albatross") == "The albatross writes to [EMAIL]."
    with pytest.raises(UsageError, match="docs: 1 passages"):
        rollback(rows.workspace.database, "main", clear.version_id)
    assert clear.version_id in collect_versions(rows.workspace.database, "main", index)
    collect_garbage(rows.workspace.database, rows.workspace.settings)
    assert EMAIL.encode() not in database_dump(rows.workspace)


def test_a_version_from_before_the_label_is_not_promoted(rows: Rows) -> None:
    rows.put("a", label="open")
    rows.workspace.ingest()
    clear = rows.workspace.build()
    rows.put("a", label="personal")
    rows.workspace.ingest()

    assert not rows.workspace.validate(clear)["personal_data"]
    with pytest.raises(GateError, match="personal_data"):
        promote(rows.workspace.database, "main", clear.version_id)


def test_a_label_that_is_taken_back_gives_the_clear_text_back(rows: Rows) -> None:
    rows.workspace.refresh()
    rows.put("a", label="open")

    report = rows.workspace.ingest()
    rows.workspace.publish()

    assert (report.bytes_loaded, shown(rows, "albatross")) == (0, f"The albatross writes to {EMAIL}.")


def test_another_profile_screens_again_what_its_predecessor_masked(rows: Rows) -> None:
    rows.put("a", text=f"The albatross pays {EMAIL} with {CARD}.")
    rows.workspace.document["profiles"]["privacy"]["staff"]["kinds"] = ["email"]
    rows.workspace.refresh()
    assert shown(rows, "albatross") == f"The albatross pays [EMAIL] with {CARD}."

    rows.workspace.document["profiles"]["privacy"]["staff"]["kinds"] = ["email", "card"]
    rows.workspace.refresh()

    assert shown(rows, "albatross") == "The albatross pays [EMAIL] with [CARD]."
    assert shown(rows, "bittern") == f"The bittern pays with {CARD}."


def test_a_label_masks_beside_a_profile_of_the_source_that_restricts(rows: Rows) -> None:
    rows.workspace.document["profiles"]["privacy"]["payments"] = {
        "mode": "restrict",
        "readers": ["group:privacy"],
    }
    rows.source["privacy"] = "payments"
    rows.workspace.refresh()

    assert shown(rows, "albatross") == "The albatross writes to [EMAIL]."
    assert rows.found() == {"a", "c", "d"}
    assert rows.found(principals=["group:privacy"]) == {"a", "b", "c", "d"}


def test_a_plan_tells_a_label_that_masks_as_a_change_of_attributes(rows: Rows) -> None:
    planned = plan_source(rows.workspace.runtime, "docs")

    assert planned.changes == {"added": 4}
    rows.workspace.ingest()
    rows.put("c", label="personal")
    assert plan_source(rows.workspace.runtime, "docs").changes == {"metadata_only": 1, "unchanged": 3}


def test_shards_store_titles_as_their_listing_masked_them(workspace: Workspace) -> None:
    workspace.document["profiles"]["privacy"] = {"staff": {"mode": "mask"}}
    workspace.document["sources"]["docs"]["privacy"] = "staff"
    workspace.write(f"letter of {EMAIL}.md", f"# Letter\n\nTo {EMAIL}.")
    list_beside_shards(workspace)

    work_shard(workspace.runtime, "docs", Shard(0, 1))

    (row,) = workspace.rows("SELECT name, masked_by IS NOT NULL AS masked, status FROM rag.document")
    assert row == {"name": "letter of [EMAIL].md", "masked": True, "status": "ok"}
    assert workspace.ingest().changes == {"unchanged": 1}


@pytest.mark.parametrize(
    ("policy", "privacy", "words"),
    [
        ({"x": "mask"}, None, "'privacy' (a profile of mode mask)"),
        ({"x": {"action": "index", "privacy": "staff"}}, None, "'privacy' (a profile of mode mask)"),
        ({"x": {"action": "mask", "privacy": "nobody"}}, None, "received 'nobody'; valid: the name of"),
        ({"x": {"action": "mask", "privacy": "look"}}, None, "received 'look', of mode detect"),
        ({"x": MASK}, "staff", "profile 'staff' masks the whole source"),
        (
            {"x": MASK, "y": {"action": "mask", "privacy": "other"}},
            None,
            "one privacy profile for all labels",
        ),
    ],
)
def test_masks_that_cannot_be_meant_are_refused(
    rows: Rows, policy: dict[str, object], privacy: str | None, words: str
) -> None:
    rows.workspace.document["profiles"]["privacy"]["other"] = {"mode": "mask", "kinds": ["card"]}
    rows.source["labels"] = {"policy": policy}
    rows.source["privacy"] = privacy

    with pytest.raises(ConfigError, match="labels") as refused:
        _ = rows.workspace.settings

    assert words in str(refused.value)
