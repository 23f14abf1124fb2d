"""An upgrade: everything that an earlier release stored answers, and only what changed is made again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rag_pipelines.embedding.cosines import ANSWERED
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines_tests.upgrade.restored import Restored

INDEXES = ("desk", "handbook")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every passage that is embedded from now on."""
    texts: list[str] = []
    embed = HashEmbedder.embed_documents

    def noted(self: HashEmbedder, passages: Any) -> Any:
        texts.extend(passages)
        return embed(self, passages)

    monkeypatch.setattr(HashEmbedder, "embed_documents", noted)
    return texts


def test_both_indexes_answer_as_they_did(restored: Restored) -> None:
    """In hybrid the best passage; how others stand behind it is each release's own."""
    asked = [command for command in restored.answers if command.startswith("query ")]
    assert {restored.answers[command]["index"] for command in asked} == set(INDEXES)
    for command in asked:
        before, now = restored.answers[command], restored.answer(command)
        assert now["version"] == before["version"]
        told = slice(1) if "--mode hybrid" in command else slice(None)
        hits = [_passage(hit) for hit in before["hits"][told]]
        assert _as_before([_passage(hit) for hit in now["hits"][told]], hits) == hits, command


def test_a_calibration_still_tells_how_sure_an_answer_is(restored: Restored) -> None:
    command = next(one for one in restored.answers if "--context" in one)
    before, now = restored.answers[command]["context"], restored.answer(command)["context"]
    assert now["confidence"] == pytest.approx(before["confidence"])
    assert (now["answerable"], now["text"]) == (before["answerable"], before["text"])


@pytest.mark.parametrize(
    "command",
    [
        "apply --json",
        "quarantine list --json",
        "canary status --json",
        "eval runs --json",
        "deletes list --json",
    ],
)
def test_what_was_stored_is_told_as_it_was(restored: Restored, command: str) -> None:
    before = restored.answers[command]
    assert _as_before(restored.answer(command), before) == before


def test_versions_and_sources_stand_as_they_did(restored: Restored) -> None:
    versions = "index versions --json"
    known = restored.answers[versions]
    assert _as_before(restored.answer(versions), known) == known
    before, now = restored.answers["status --json"], restored.answer("status --json")
    for one in (*before["sources"], *now["sources"], *before["indexes"], *now["indexes"]):
        for moving in ("lag_seconds", "overdue", "live_seconds"):
            one.pop(moving, None)
    assert _as_before(now, before) == before


def test_an_ingest_embeds_only_what_changed(restored: Restored, embedded: list[str]) -> None:
    del restored.document["sources"]["tickets"]["budget"]
    restored.call("ingest", exit_code=3)  # the broken file is tried again by new code
    assert embedded
    assert {text.removeprefix("passage: ").splitlines()[0] for text in embedded} == {"The dipper", "Ticket 6"}
    embedded.clear()
    restored.call("ingest", "--full")
    assert embedded == []


def test_what_the_release_parsed_is_announced_and_parsed_once_more_from_its_bytes(
    restored: Restored, embedded: list[str]
) -> None:
    announced = {row["source"]: row["to_parse_again"] for row in restored.answer("status --json")["sources"]}
    assert all(sum(counts.values()) for counts in announced.values())
    assert "will be parsed again by the next ingest, from the stored bytes" in restored.said("status")
    before = dict(_chunks(restored))
    restored.call("ingest", "wiki", exit_code=3)
    (source,) = [row for row in restored.answer("status --json")["sources"] if row["source"] == "wiki"]
    assert source["to_parse_again"] == {}
    (run,) = restored.rows("SELECT report FROM rag.run ORDER BY run_id DESC LIMIT 1")
    again, equal = sum(run["report"]["reparsed"].values()), run["report"]["reparsed_equal"]
    assert 0 < again == equal < sum(announced["wiki"].values())
    assert dict(_chunks(restored)).keys() == before.keys()
    assert {text.splitlines()[0] for text in embedded} == {"The dipper"}, "the rest is cut anew as it was"


def test_the_first_build_is_a_full_one_and_embeds_no_passage(restored: Restored, embedded: list[str]) -> None:
    restored.call("canary", "stop", "handbook")
    restored.call("ingest", "wiki", exit_code=3)
    embedded.clear()
    restored.call("index", "build", "handbook")
    assert set(embedded) <= {answer for _, answer in ANSWERED}, "by which the model's cosines are measured"
    built = json.loads(restored.call("index", "versions", "--json"))
    states = {one["kind"]: one["state"] for one in reversed(built) if one["index"] == "handbook"}
    assert (states["full"], states["copy"]) == ("live", "spare")
    found = json.loads(restored.call("query", "B-102", "--index", "handbook", "--mode", "lexical", "--json"))
    assert found["hits"][0]["path"] == "birds/dipper.md"


def _as_before(now: Any, before: Any) -> Any:
    """`now` without the fields that `before` did not have."""
    if isinstance(before, dict):
        return {name: _as_before(now[name], value) for name, value in before.items()}
    return [_as_before(*pair) for pair in zip(now, before, strict=True)] if isinstance(before, list) else now


def _passage(hit: dict[str, Any]) -> dict[str, Any]:
    """A hit with the scores of its sides, rounded, as both modes of a plan add them up. What is made of them,
    and which rank equals have, is each release's own."""
    sides = {name: hit["scores"][name] for name in ("dense", "lexical")}
    return {**hit, "scores": {name: value and round(value, 5) for name, value in sides.items()}}


def _chunks(restored: Restored) -> list[tuple[str, int]]:
    """Which chunk set each document of the wiki has."""
    rows = restored.rows(
        "SELECT d.external_id, dc.chunk_set_id FROM rag.document d JOIN rag.source s USING (source_id) "
        "JOIN rag.document_chunks dc USING (document_id) WHERE s.name = 'wiki' AND d.state = 'present'"
    )
    return [(row["external_id"], row["chunk_set_id"]) for row in rows]
