"""What an earlier release left in the database is read, or refused in a sentence that says why."""

from __future__ import annotations

import json

import msgspec
import pytest

from rag_pipelines.embedding.base import ModelIdentity
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.stored import FORMAT
from rag_pipelines.sync.stages import source_run
from rag_pipelines.verification.verify import newest_certificates
from rag_pipelines_tests.upgrade.restored import Restored


class LaterIdentity(ModelIdentity, frozen=True):
    """What a release with one more field would have."""

    pooling: str = "mean"


def test_a_setting_that_was_retired_stops_no_search(restored: Restored) -> None:
    restored.call("status")
    restored.rows(
        "UPDATE rag.index_version SET params = jsonb_set(params, '{index,retired_setting}', '1') RETURNING 1"
    )
    found = json.loads(restored.call("query", "E-4417", "--index", "desk", "--json"))
    assert found["hits"][0]["path"] == "mill.html"


def test_an_identity_with_one_more_field_leaves_versions_readable(
    restored: Restored, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = HashEmbedder.__init__

    def later(self: HashEmbedder, profile: EmbeddingProfile) -> None:
        made(self, profile)
        self.identity = LaterIdentity(**msgspec.structs.asdict(self.identity))

    monkeypatch.setattr(HashEmbedder, "__init__", later)
    found = json.loads(restored.call("query", "E-4417", "--index", "desk", "--mode", "dense", "--json"))
    assert len(found["hits"]) == 5


def test_a_profile_that_was_retired_is_made_again_from_the_version(restored: Restored) -> None:
    restored.document["profiles"]["embedding"]["prompted"] = {"provider": "hash", "dimensions": 64}
    command = next(one for one in restored.answers if "--index desk" in one and "dense" in one)
    before, now = restored.answers[command], restored.answer(command)
    assert [hit["chunk_id"] for hit in now["hits"]] == [hit["chunk_id"] for hit in before["hits"]]


def test_a_plan_of_a_release_that_parsed_otherwise_is_refused_and_changes_nothing(restored: Restored) -> None:
    said = restored.said("apply", "1")
    assert "the code that parses it, has changed since plan 1 was made; nothing was changed" in said
    assert "rag-pipelines plan wiki" in said


def test_the_report_of_an_earlier_release_is_gone_on_from(restored: Restored) -> None:
    restored.call("status")
    with source_run(restored.database, restored.settings, "wiki", continued=True) as run:
        run.report.parsed += 1
    [row] = restored.rows("SELECT report FROM rag.run ORDER BY run_id DESC LIMIT 1")
    assert (row["report"][FORMAT], row["report"]["parsed"]) == (1, 1)
    assert row["report"]["listed"] == 12


def test_a_kind_of_drift_that_was_retired_is_shown_by_its_name(restored: Restored) -> None:
    restored.call("status")
    restored.rows(
        'UPDATE rag.certificate SET drift = \'[{"kind": "gone_kind", "documents": 2}]\' RETURNING 1'
    )
    with restored.database.connection() as connection:
        certificate = newest_certificates(connection, "wiki")[0]
    assert certificate.advice(certificate.drift[0]) == "rag-pipelines verify wiki"
