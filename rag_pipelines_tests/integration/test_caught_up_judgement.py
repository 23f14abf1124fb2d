"""A version that caught up is counted and judged by what changed, and now and then in whole."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.promotion import collect_versions, promote
from rag_pipelines.index.versions import Version
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.stages import advance_source, list_source, source_run
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

DOCUMENTS = 30


def fill_twice_published(workspace: Workspace) -> None:
    """Thirty documents, and two versions of them: the next build catches up."""
    for n in range(DOCUMENTS):
        workspace.write(f"{n:02}.md", f"# Note {n}\n\nAlpha number{n} " + "and so on " * 20)
    workspace.ingest()
    workspace.publish()
    workspace.publish(full=True)


@pytest.fixture
def published(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_twice_published).lend() as lent:
        yield lent


def edited(workspace: Workspace, number: int = 3) -> Version:
    """A build after one document was edited."""
    workspace.write(f"{number:02}.md", f"# Note {number}\n\nGamma replaced it.\n\n## More\n\nDelta as well.")
    workspace.ingest()
    return workspace.build()


def publish(workspace: Workspace, version: Version) -> None:
    """Judge a candidate and make it live."""
    workspace.validate(version)
    promote(workspace.database, "main", version.version_id)


def judged(workspace: Workspace, version: Version) -> dict[str, Any]:
    """The results of the gates by name."""
    return {gate.gate: gate for gate in validate_version(workspace.runtime, "main", version.version_id)}


def run(workspace: Workspace, statement: str) -> None:
    with psycopg.connect(workspace.url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def test_a_refresh_is_judged_by_what_changed_and_says_so(published: Workspace) -> None:
    version = edited(published)
    assert (version.kind, version.figures.changed, version.figures.whole) == ("catch_up", 1, False)
    gates = judged(published, version)
    assert all(gate.passed for gate in gates.values())
    assert gates["access_proof"].detail["judged"] == gates["recall"].detail["judged"] == "changed"


@pytest.mark.parametrize(
    ("gate", "damage"),
    [
        (
            "no_orphans",
            "DELETE FROM rag.chunk WHERE chunk_set_id = (SELECT max(chunk_set_id) FROM rag.chunk)",
        ),
        (
            "no_orphans",
            "DELETE FROM rag.lexical_{n} WHERE chunk_set_id = (SELECT max(chunk_set_id) FROM rag.chunk)",
        ),
        (
            "dimension_and_norm",
            "UPDATE rag.vectors_{n} SET embedding = embedding + embedding "
            "WHERE chunk_set_id = (SELECT max(chunk_set_id) FROM rag.chunk)",
        ),
        ("vector_index_valid", "DROP INDEX rag.vectors_{n}_embedding_idx"),
    ],
)
def test_damage_to_what_changed_fails_the_gate_that_looks_for_it(
    published: Workspace, gate: str, damage: str
) -> None:
    version = edited(published)
    run(published, damage.format(n=version.storage))
    assert judged(published, version)[gate].passed is False


def test_a_row_that_the_catch_up_left_out_is_missed(published: Workspace) -> None:
    run(
        published,
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN CASE WHEN NEW.ordinal = 0 THEN NULL ELSE NEW END; END $$; "
        "DO $$ DECLARE one text; BEGIN "
        "FOR one IN SELECT tablename FROM pg_tables WHERE tablename ~ '^vectors_' LOOP EXECUTE format("
        "'CREATE TRIGGER forget BEFORE INSERT ON rag.%I FOR EACH ROW EXECUTE FUNCTION forget()', one); "
        "END LOOP; END $$",
    )
    gate = judged(published, edited(published))["row_parity"]
    assert (gate.passed, gate.threshold - gate.observed) == (False, 1.0)


@pytest.mark.parametrize("gates", [{"whole_every": "0s"}, {"whole_share": 0.01}])
def test_now_and_then_a_refresh_is_judged_in_whole(published: Workspace, gates: dict[str, Any]) -> None:
    published.document["indexes"]["main"]["gates"] |= gates
    version = edited(published)
    run(
        published,
        f"UPDATE rag.vectors_{version.storage} SET embedding = embedding + embedding WHERE slot = 1",
    )
    gate = judged(published, version)["dimension_and_norm"]
    assert (version.kind, version.figures.whole, gate.passed) == ("catch_up", True, False)


def test_changes_add_up_until_the_whole_is_judged(published: Workspace) -> None:
    for number in (3, 4, 5):
        version = edited(published, number)
        publish(published, version)
    assert version.figures.changed == 3, "two since the version before the last, which goes back by one"
    published.document["indexes"]["main"]["gates"]["whole_share"] = 2.5 / DOCUMENTS
    assert edited(published, 6).figures.whole is True


def test_a_version_of_an_older_release_is_followed_by_one_that_is_judged_in_whole(
    published: Workspace,
) -> None:
    run(published, "UPDATE rag.index_version SET statistics = statistics - 'whole_at' - 'changed'")
    run(published, "DELETE FROM rag.version_document")
    version = edited(published)
    assert (version.kind, version.figures.whole) == ("catch_up", True)
    assert all(gate.passed for gate in judged(published, version).values())


def test_counts_of_what_changed_add_up_to_those_of_the_whole(published: Workspace) -> None:
    published.document["indexes"]["main"] |= {"full_build_share": 1.0}
    published.document["indexes"]["main"]["gates"] |= {"whole_share": 1.0, "max_missing_share": 1.0}
    chance, wiki = random.Random(5), published.docs
    for step in range(4):
        for _ in range(3):
            file = wiki / f"{chance.randrange(DOCUMENTS + 5):02}.md"
            if file.exists() and chance.random() < 0.3:
                file.unlink()
            elif file.exists() and chance.random() < 0.3:
                file.rename(wiki / f"moved{step}-{file.name}")
            else:
                file.write_text(
                    "# Again\n\n" + "\n\n## Part\n\nWords. ".join(map(str, range(chance.randrange(5))))
                )
        (wiki / f"locked{step}.pdf").write_bytes(b"%PDF-1.7 nothing that can be read")
        published.ingest()
        if step == 2:
            stop_before_vectors(published)
        caught_up, anew = published.build(), published.build(full=True)
        assert not caught_up.figures.whole
        of_each = dict.fromkeys(("whole_at", "graph_bytes", "build_memory", "rows_in_memory"), None)
        counted, as_anew = (
            msgspec.structs.replace(version.figures, changed=0, **of_each) for version in (caught_up, anew)
        )
        assert counted == as_anew
        assert caught_up.figures.chunks == caught_up.row_count
        if step == 2:
            assert caught_up.figures.missing["docs"].lacks == {"not_embedded": 1}
        publish(published, caught_up)


def test_counts_go_on_from_what_purges_left(published: Workspace) -> None:
    for name in ("07.md", "11.md"):
        purge_document(published.database, published.settings, "docs", name, even_if_present=True)
        (published.docs / name).unlink()
    version = edited(published)
    held = published.rows(f"SELECT count(DISTINCT document_id) AS n FROM rag.vectors_{version.storage}")
    assert not version.figures.whole
    assert version.document_count == held[0]["n"] == DOCUMENTS - 2
    assert judged(published, version)["row_parity"].passed


def stop_before_vectors(workspace: Workspace, path: str = "late.md") -> None:
    """A document that waits for its vectors."""
    workspace.write(path, f"# Late\n\nNot embedded yet: {path}")
    with source_run(workspace.database, workspace.settings, "docs") as under_way:
        list_source(under_way)
        advance_source(under_way, Embedders(workspace.settings.data_dir), Stage.CHUNKED)


def test_what_the_version_before_lacked_is_looked_up_again(published: Workspace) -> None:
    published.document["indexes"]["main"]["gates"] |= {"whole_share": 1.0, "max_missing_share": 1.0}
    for number in (1, 2, 3):
        stop_before_vectors(published, f"late{number}.md")
        version = published.build()
        assert version.figures.missing["docs"].lacks == {"not_embedded": number}
        publish(published, version)
    published.ingest()
    version = published.build()
    assert (version.figures.whole, version.figures.missing["docs"].lacks) == (False, {})


def test_departures_are_kept_as_long_as_a_version_may_hold_them(published: Workspace) -> None:
    published.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    (published.docs / "05.md").unlink()
    run(published, "DELETE FROM rag.document WHERE external_id = '05.md'")
    version = edited(published)
    assert version.document_count == DOCUMENTS - 1
    collect_versions(published.database, "main", published.settings.index("main"))
    assert published.rows("SELECT count(*) AS n FROM rag.departed_document") == [{"n": 1}]
    publish(published, version)
    collect_versions(published.database, "main", published.settings.index("main"))
    assert published.rows("SELECT count(*) AS n FROM rag.departed_document") == [{"n": 0}]
