"""Copies of documents: found in whatever format, shown once, never in the way of what somebody may see."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rag_pipelines.query.duplicates import Duplicates
from rag_pipelines.query.hits import Filters, Hit, Mode
from rag_pipelines.query.search import Searcher
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.store import sketches
from rag_pipelines.store.reader import admit_reader
from rag_pipelines.text.sketch import Sketch, similarities, sketch_of
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

SOURCES = ("wiki", "docs", "archive")
QUESTION = "canteen opening hours"
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")


def notice(seed: int, edits: int = 0, words: int = 300, hours: str = "11 to 14") -> str:
    """A page on the canteen of its own wording, with so many of its words changed."""
    rng = random.Random(seed)
    text = [f"term{rng.randrange(5_000)}" for _ in range(words)]
    for at in random.Random(f"{seed} {edits}").sample(range(words), edits):
        text[at] = f"edited{at}"
    return f"The canteen has opening hours from {hours}. " + " ".join(text)


def add_sources(made: Workspace, policy: Any, *names: str) -> None:
    """Sources of one folder each, in the order in which an index with this policy prefers them."""
    made.document["profiles"]["chunking"] = {"default": {"max_tokens": 120, "min_tokens": 10}}
    docs = made.document["sources"]["docs"]
    sources = {name: {**docs, "options": {"root": str(made.docs / name)}} for name in names}
    made.document["sources"] = sources
    made.document["indexes"]["main"].update(sources=list(names), duplicates=policy)
    for name in names:
        (made.docs / name).mkdir(exist_ok=True)


def publish(made: Workspace) -> None:
    for name in made.document["sources"]:
        made.ingest(name)
    made.publish()


def paths(hits: Sequence[Hit]) -> list[str]:
    """Source and path of each document among some hits, best first, once."""
    return list(dict.fromkeys(f"{hit.source}/{hit.path}" for hit in hits))


@contextmanager
def searching(made: Workspace, policy: Any, sources: Sequence[str] = ()) -> Iterator[Searcher]:
    """A searcher of the index under a policy, and another order of its sources."""
    index = made.document["indexes"]["main"]
    index.update(duplicates=policy, sources=list(sources or index["sources"]))
    with Searcher(made.database, made.settings, "main") as searcher:
        yield searcher


def found(made: Workspace, policy: Any, question: str = QUESTION, k: int = 20, **options: Any) -> list[str]:
    with searching(made, policy) as searcher:
        return paths(searcher.search(question, tenant="default", k=k, **options).hits)


def fill_shelf(made: Workspace) -> None:
    """One page in three sources and two formats, an edited one, one on something else with the same head."""
    add_sources(made, "one_hit", *SOURCES)
    page = notice(1)
    made.write("docs/hours.md", f"# Hours\n\n{page}")
    made.write("archive/hours.html", f"<html><body><h1>Hours</h1><p>{page}</p></body></html>")
    made.write("archive/edited.md", f"# Hours\n\n{notice(1, edits=4, hours='11 to 15')}")
    made.write("wiki/other.md", f"# Hours\n\n{notice(2)}")
    publish(made)


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


def test_an_index_that_keeps_copies_shows_them_all(shelf: Workspace) -> None:
    copies = {"docs/hours.md", "archive/hours.html", "archive/edited.md", "wiki/other.md"}
    assert set(found(shelf, "keep")) == set(found(shelf, None)) == copies


def test_one_of_several_copies_is_shown_in_whatever_format_they_are(shelf: Workspace) -> None:
    shown = found(shelf, "one_hit")
    assert "wiki/other.md" in shown
    assert len(shown) == 2


def test_the_copy_that_fits_the_question_best_is_the_one(shelf: Workspace) -> None:
    assert found(shelf, "one_hit", "canteen hours 11 to 15 edited", mode="lexical")[0] == "archive/edited.md"
    assert "archive/edited.md" not in found(shelf, "one_hit", "canteen hours 14", mode="lexical")


def test_the_copy_of_the_source_that_stands_first_is_preferred(shelf: Workspace) -> None:
    question = "canteen hours 11 to 15 edited"
    assert found(shelf, "prefer", question)[0] == "docs/hours.md"
    with searching(shelf, "prefer", ("archive", "wiki", "docs")) as searcher:
        shown = paths(searcher.search(question, tenant="default").hits)
    assert shown[0].startswith("archive/")
    assert "docs/hours.md" not in shown


def test_of_one_source_the_newest_copy_is_preferred(shelf: Workspace) -> None:
    for path, year in (("hours.html", 2020), ("edited.md", 2024)):
        shelf.rows(
            "UPDATE rag.document SET modified_at = make_date(%s, 1, 1) WHERE path = %s RETURNING 1",
            year,
            path,
        )
    with searching(shelf, "prefer", ("archive", "wiki", "docs")) as searcher:
        assert paths(searcher.search(QUESTION, tenant="default").hits)[0] == "archive/edited.md"


def test_a_preferred_copy_stands_where_the_best_of_its_copies_stood(shelf: Workspace) -> None:
    question = "canteen hours 11 to 15 edited"
    with searching(shelf, "keep") as searcher:
        before = searcher.search(question, tenant="default").hits[0]
    with searching(shelf, "prefer") as searcher:
        result = searcher.search(question, tenant="default")
    assert (before.path, result.hits[0].path) == ("edited.md", "hours.md")
    assert result.steps[0].places[0].score == before.scores.fused


def test_texts_that_are_less_alike_than_asked_are_no_copies(shelf: Workspace) -> None:
    shown = found(shelf, {"policy": "one_hit", "similarity": 1.0})
    assert "archive/edited.md" in shown
    assert len(shown) == 3


def test_a_copy_that_the_filter_leaves_out_hides_nothing(shelf: Workspace) -> None:
    assert found(shelf, "prefer", filters=Filters(sources=("archive",)))[0].startswith("archive/")


def test_a_source_of_an_index_that_does_not_ask_has_no_sketches(workspace: Workspace) -> None:
    workspace.write("a.md", notice(1))
    report = workspace.ingest()
    assert workspace.rows("SELECT count(*) AS n FROM rag.sketch") == [{"n": 0}]
    assert not [stage for stage in report.seconds if "sketch" in stage]


def test_a_text_is_sketched_once_whoever_has_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(text: str) -> Sketch | None:
        made.append(text)
        return sketch_of(text)

    monkeypatch.setattr("rag_pipelines.sync.sketches.sketch_of", counted)
    add_sources(workspace, "keep", "docs", "wiki")
    workspace.write("docs/a.md", notice(1))
    workspace.write("wiki/b.md", notice(1))
    workspace.write("wiki/c.md", notice(2))
    for source in ("docs", "wiki", "docs", "wiki"):
        workspace.ingest(source)
    assert len(made) == 2
    workspace.write("wiki/b.md", notice(1, edits=1))
    workspace.ingest("wiki")
    assert len(made) == 3
    workspace.ingest("wiki", full=True)
    assert len(made) == 3


def families(made: Workspace) -> set[frozenset[str]]:
    """The documents of each family that the database knows."""
    rows = made.rows(
        "SELECT array_agg(d.path) AS paths FROM rag.document d JOIN rag.parse USING (parse_id) "
        "JOIN rag.sketch s USING (blocks_sha256) WHERE d.state <> 'tombstoned' GROUP BY s.family"
    )
    return {frozenset(row["paths"]) for row in rows}


def test_a_text_between_two_others_makes_them_one_family(workspace: Workspace) -> None:
    add_sources(workspace, "keep", "docs")
    workspace.write("docs/first.md", notice(1))
    workspace.write("docs/last.md", notice(1, edits=25))
    workspace.write("docs/else.md", notice(2))
    workspace.ingest("docs")
    assert families(workspace) == {frozenset({"first.md"}), frozenset({"last.md"}), frozenset({"else.md"})}
    words = notice(1, edits=25).split()
    half = len(words) // 2
    workspace.write("docs/between.md", " ".join(notice(1).split()[:half] + words[half:]))
    workspace.ingest("docs")
    assert families(workspace) == {frozenset({"first.md", "between.md", "last.md"}), frozenset({"else.md"})}


def test_a_large_family_is_found_by_some_of_its_members(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "ENOUGH", 3)
    add_sources(workspace, "keep", "docs")
    for number in range(12):
        workspace.write(f"docs/{number}.md", f"{notice(1)} number{number}")
    workspace.ingest("docs")
    assert [len(family) for family in families(workspace)] == [12]
    rows = workspace.rows("SELECT count(*) AS n FROM rag.sketch WHERE bands <> '{}'")
    assert rows == [{"n": 3}]


def test_sketches_of_other_code_are_made_anew_and_never_compared(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_sources(workspace, "one_hit", "docs")
    workspace.write("docs/a.md", notice(1))
    workspace.write("docs/b.md", notice(1, edits=1))
    workspace.ingest("docs")
    workspace.publish()
    assert len(found(workspace, "one_hit")) == 1
    monkeypatch.setattr(sketches, "sketch_fingerprint", lambda: "other code")
    profile = sketches.sketch_profile
    with workspace.database.connection() as connection:
        other = profile(connection)
    workspace.rows(
        "UPDATE rag.sketch SET profile_id = %s WHERE words_key = %s RETURNING 1",
        other,
        sketch_of(notice(1)).words_key,  # type: ignore[union-attr]
    )
    assert len(found(workspace, "one_hit")) == 2
    workspace.ingest("docs")
    assert workspace.rows("SELECT DISTINCT profile_id FROM rag.sketch") == [{"profile_id": other}]
    assert len(found(workspace, "one_hit")) == 1


def test_the_sketch_of_a_purged_document_goes_with_its_text(shelf: Workspace) -> None:
    (shelf.docs / "archive/edited.md").unlink()
    shelf.ingest("archive")
    before = shelf.rows("SELECT count(*) AS n FROM rag.sketch")[0]["n"]
    purged = purge_document(shelf.database, shelf.settings, "archive", "edited.md", verify=True)
    assert purged.proof is not None
    assert not purged.proof.left
    assert shelf.rows("SELECT count(*) AS n FROM rag.sketch")[0]["n"] == before - 1


def add_rule(made: Workspace, clauses: str) -> None:
    """An access rule that no document has yet."""
    statement = "INSERT INTO rag.access_rule (digest, clauses) VALUES (gen_random_uuid(), %s) RETURNING 1"
    made.rows(statement, clauses)


def fill_crowd(made: Workspace) -> None:
    """Sixty copies of a page and twelve others that fit the question less, of one passage each."""
    add_sources(made, "one_hit", "docs")
    for number in range(60):
        made.write(f"docs/copy{number}.md", f"canteen canteen opening {notice(1, words=40)} number{number}")
    for number in range(12):
        made.write(f"docs/other{number}.md", notice(100 + number, words=40))
    publish(made)


@pytest.fixture
def crowd(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_crowd).lend() as lent:
        yield lent


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", ["one_hit", "prefer"])
def test_there_are_as_many_hits_as_asked_where_there_are_so_many_without_copies(
    crowd: Workspace, mode: Mode, policy: str
) -> None:
    shown = found(crowd, policy, k=10, mode=mode)
    assert len(shown) == 10
    assert sum("copy" in path for path in shown) == 1
    assert len(found(crowd, policy, k=50, mode=mode)) == 13


def test_what_a_step_says_of_copies_counts_none_that_the_caller_may_not_see(
    crowd: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty copies, of which the caller sees ten: the statement is asked again without all of them."""
    monkeypatch.setattr(Duplicates, "depth", 5)
    add_rule(crowd, '[["group:a"]]')
    hidden = "path LIKE 'copy%%' AND path NOT LIKE 'copy1_.md'"
    newest = "SELECT max(access_id) FROM rag.access_rule"
    crowd.rows(f"UPDATE rag.document SET access_id = ({newest}) WHERE {hidden} RETURNING %s", 1)
    with searching(crowd, "one_hit") as searcher:
        before = searcher.search(QUESTION, tenant="default", k=12)
        crowd.rows(f"UPDATE rag.document SET state = 'tombstoned' WHERE {hidden} RETURNING %s", 1)
        after = searcher.search(QUESTION, tenant="default", k=12)
    assert len(before.hits) == 12
    assert before.steps[0].note == after.steps[0].note
    assert 0 < int(before.steps[0].note.split()[0]) < 10


class World:
    """Documents in families, of which each example gives rules to documents and principals to a caller."""

    GROUPS = ("group:a", "group:b", "group:c")

    def __init__(self, made: Workspace, seed: int) -> None:
        self.made = made
        rng = random.Random(seed)
        add_sources(made, "one_hit", *SOURCES)
        self.texts: dict[str, Sketch] = {}
        for family in range(6):
            size = rng.choice((1, 2, 3, 5))
            step = rng.choice((0, 2, 9))
            for member in range(size):
                text = notice(1_000 * seed + family, edits=member * step)
                path = f"{rng.choice(SOURCES)}/{family}-{member}.md"
                made.write(path, text)
                self.texts[path] = sketch_of(text)  # type: ignore[assignment]
        publish(made)
        for clauses in [[[one]] for one in self.GROUPS] + [
            [["group:a", "group:b"]],
            [["group:a"], ["group:c"]],
        ]:
            add_rule(made, json.dumps(clauses))
        self.rules = [row["access_id"] for row in made.rows("SELECT access_id FROM rag.access_rule")]
        self.documents = {
            f"{row['name']}/{row['path']}": row["document_id"]
            for row in made.rows(
                "SELECT s.name, d.path, d.document_id FROM rag.document d JOIN rag.source s USING (source_id)"
            )
        }

    def shuffle(self, rng: random.Random) -> None:
        """Other rules, and dates, for every document."""
        for number in self.documents.values():
            self.made.rows(
                "UPDATE rag.document SET state = 'present', deleted_at = NULL, access_id = %s, "
                "modified_at = make_date(%s, 1, 1) WHERE document_id = %s RETURNING 1",
                rng.choice(self.rules),
                rng.randrange(2000, 2025),
                number,
            )

    def remove_all_but(self, shown: set[str]) -> None:
        """What is not among `shown` is not there any more."""
        numbers = [number for path, number in self.documents.items() if path not in shown]
        self.made.rows(
            "UPDATE rag.document SET state = 'tombstoned', deleted_at = now() "
            "WHERE document_id = ANY(%s) RETURNING 1",
            numbers,
        )

    def alike(self, first: str, second: str, similarity: float) -> bool:
        one, other = self.texts[first], self.texts[second]
        return one.words_key == other.words_key or bool(similarities([one.bits], [other.bits]) >= similarity)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("as_reader", [False, True], ids=["owner", "reader"])
def test_no_caller_loses_a_family_and_what_they_may_not_see_makes_no_difference(
    workspace: Workspace, reader_role: str, seed: int, as_reader: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Duplicates, "depth", 5)
    world = World(workspace, seed)
    if as_reader:
        with workspace.database.connect() as connection:
            admit_reader(connection, reader_role)
        workspace.document["database"]["reader_url"] = as_role(workspace.url, reader_role)

    @hypothesis_settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(rng: random.Random) -> None:
        world.shuffle(rng)
        principals = rng.sample(World.GROUPS, k=rng.randrange(4))
        order = rng.sample(SOURCES, k=3)
        similarity = rng.choice((0.75, 0.85, 0.95))
        policy = {"policy": rng.choice(("one_hit", "prefer")), "similarity": similarity}
        asking: dict[str, Any] = {"tenant": "default", "principals": principals, "mode": rng.choice(MODES)}
        few = rng.choice((1, 3, 8))
        with searching(workspace, "keep", order) as searcher:
            visible = paths(searcher.search(QUESTION, k=200, **asking).hits)
        with searching(workspace, policy, order) as searcher:
            all_ = searcher.search(QUESTION, k=200, **asking)
            some = searcher.search(QUESTION, k=few, **asking).hits
            world.remove_all_but(set(visible))
            without = searcher.search(QUESTION, k=200, **asking)
            some_without = searcher.search(QUESTION, k=few, **asking).hits
        shown = paths(all_.hits)
        assert set(shown) <= set(visible)
        for path in set(visible) - set(shown):
            assert any(world.alike(path, other, similarity) for other in shown), path
        assert not [
            (one, other)
            for one in shown
            for other in shown
            if one < other and world.alike(one, other, similarity)
        ]
        assert len(some) == min(few, len(all_.hits))
        assert [hit.chunk_id for hit in without.hits] == [hit.chunk_id for hit in all_.hits]
        assert [step.note for step in without.steps] == [step.note for step in all_.steps]
        assert paths(some_without) == paths(some)

    check()
