"""The stages after the search statement, on a real index: vectors, neighbours, words that callers see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql

from rag_pipelines.config.query import (
    AuthorityRule,
    BoostSettings,
    DiversitySettings,
    NeighbourSettings,
    RerankSettings,
    RewritingSettings,
    StageSettings,
)
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.registry import parse
from rag_pipelines.query.context import pack_context
from rag_pipelines.query.diversity import vectors_of
from rag_pipelines.query.hits import AskedBy, Change, Hit, Rewritten, Route
from rag_pipelines.query.neighbours import Neighbours
from rag_pipelines.query.rewriting import Rewriter, Vocabularies
from rag_pipelines.query.search import Searcher
from rag_pipelines.query.stage_chain import make_stages
from rag_pipelines.query.stages import Asked
from rag_pipelines.store.database import Database, Part, Pg
from rag_pipelines.store.reader import admit_reader, reading_as
from rag_pipelines.store.sql import queries
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

PARAGRAPHS = [
    f"Step {n}: fasten screw number {n} with the long spanner and check that it sits." for n in range(40)
]
MANUAL = (
    "# Manual\n\n## Assembly\n\n" + "\n\n".join(PARAGRAPHS) + "\n\n## Storage\n\nStore it in a dry place."
)


def fill_shelf(made: Workspace) -> None:
    """A long manual cut into many chunks, near-copies of a notice, and a closed folder with a rare word."""
    made.document["profiles"]["chunking"] = {"default": {"max_tokens": 60, "min_tokens": 10}}
    made.document["sources"]["docs"]["access"] = "closed"
    made.write(".access.yaml", "allow: [everyone]\n")
    made.write("manual.md", MANUAL)
    for n in range(3):
        made.write(f"notice{n}.md", f"# Notice\n\nThe canteen is closed on Friday afternoon. Floor {n}.")
    made.write("other.md", "# Canteen\n\nThe canteen offers insurance forms and vegetarian food.")
    made.write("second.md", "# Forms\n\nInsurance forms lie in the office.")
    made.write("board/.access.yaml", "allow: [group:board]\n")
    made.write("board/plan.md", "# Plan\n\nProject bluefalcon buys the bluefalcon factory.")
    made.write("board/minutes.md", "# Minutes\n\nThe bluefalcon price was agreed.")
    made.refresh()


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


def asking(
    shelf: Workspace,
    text: str,
    k: int = 10,
    principals: Sequence[str] = (),
    database: Database | None = None,
) -> Asked:
    """A search as the searcher hands it to its stages, by the owner or through another login."""
    parts: dict[str, Part] = {
        "vectors": "vectors_1",
        "lexical": "lexical_1",
        "configurations": sql.Literal(["english"]),
    }
    given = ["everyone", *principals]

    @contextmanager
    def reading() -> Iterator[Pg]:
        login = database or shelf.database
        with login.connection() as connection, reading_as(connection, "default", given):
            yield connection

    return Asked(text, k, reading, parts, "default", given, datetime.now(UTC))


@contextmanager
def searching(shelf: Workspace, **stages: Any) -> Iterator[Searcher]:
    """A searcher of an index with these stages."""
    settings = StageSettings(**stages).model_dump(mode="json")
    shelf.document["indexes"]["main"]["stages"] = settings
    searcher = Searcher(shelf.database, shelf.settings, "main")
    yield searcher
    searcher.close()


def staged(shelf: Workspace, text: str, k: int = 10, **stages: Any) -> list[Hit]:
    """The hits of a search that goes through these stages."""
    with searching(shelf, **stages) as searcher:
        return list(searcher.search(text, tenant="default", k=k).hits)


def canonical(shelf: Workspace, path: str) -> str:
    """The canonical text of a file of the shelf."""
    return parse(ParseRequest((shelf.docs / path).read_bytes(), path)).text


def test_the_vectors_of_hits_are_those_that_they_were_found_by(shelf: Workspace) -> None:
    hits = shelf.search("canteen closed", mode="dense", k=8)
    question = HashEmbedder(shelf.settings.embedding_profile("main")).embed_query("canteen closed")
    asked = asking(shelf, "canteen closed")
    vectors = vectors_of(asked, hits)
    assert vectors @ question == pytest.approx([hit.scores.dense for hit in hits], abs=2e-3)


def test_near_copies_give_way_to_something_else(shelf: Workspace) -> None:
    plain = [hit.path for hit in staged(shelf, "canteen closed on Friday", k=3)]
    assert {path[:6] for path in plain} == {"notice"}
    diverse = [
        hit.path
        for hit in staged(shelf, "canteen closed on Friday", k=3, diversity=DiversitySettings(relevance=0.2))
    ]
    assert diverse[0] == plain[0]
    assert sum(path.startswith("notice") for path in diverse) < 3


def test_each_document_has_as_many_hits_as_it_may(shelf: Workspace) -> None:
    question = "fasten the screw with the long spanner; the canteen"
    assert [hit.path for hit in staged(shelf, question, k=4)].count("manual.md") > 1
    single = [hit.path for hit in staged(shelf, question, k=4, per_document=1)]
    assert len(single) == len(set(single)) == 4


@pytest.mark.parametrize("section", [False, True])
def test_a_widened_passage_is_the_documents_own_text(shelf: Workspace, section: bool) -> None:
    text = canonical(shelf, "manual.md")
    (found,) = staged(shelf, "fasten screw number 20", k=1)
    settings = NeighbourSettings(before=1, after=1, section=section, max_tokens=300)
    (wide,) = staged(shelf, "fasten screw number 20", k=1, neighbours=settings)
    assert (wide.chunk_id, wide.path) == (found.chunk_id, "manual.md")
    assert wide.start < found.start
    assert wide.end > found.end
    assert wide.text.split() == text[wide.start : wide.end].split()
    assert len(wide.text) == wide.end - wide.start
    assert (len(wide.text) > 4 * len(found.text)) is section
    assert "dry place" not in wide.text


def test_packing_widened_hits_repeats_nothing(shelf: Workspace) -> None:
    settings = NeighbourSettings(before=2, after=2, max_tokens=400)
    hits = staged(shelf, "fasten screw with the long spanner", k=6, neighbours=settings)
    packed = pack_context(hits, 4000)
    for number in range(40):
        assert packed.text.count(f"Step {number}:") <= 1
    assert len(packed.passages) < len(hits)


def test_a_document_that_is_deleted_between_search_and_widening_stays_as_it_was_found(
    shelf: Workspace,
) -> None:
    stages = make_stages(StageSettings(neighbours=NeighbourSettings()))
    hits = shelf.search("screw number 20", mode="lexical", k=1)
    (shelf.docs / "manual.md").unlink()
    shelf.ingest()
    asked = asking(shelf, "screw")
    ((candidate,), _) = stages.run(asked, hits)
    assert candidate.hit == hits[0]


def test_a_search_says_how_it_was_answered(shelf: Workspace) -> None:
    stages: dict[str, Any] = {
        "boosts": BoostSettings(authority=(AuthorityRule(factor=5, path_prefix="second"),)),
        "rerank": RerankSettings(model="no/such-model"),
        "diversity": DiversitySettings(),
        "per_document": 1,
        "neighbours": NeighbourSettings(),
    }
    with searching(shelf, **stages) as searcher:
        result = searcher.search("insurance forms", tenant="default", k=2)
    steps = result.steps
    assert [step.stage for step in steps] == ["boosts", "rerank", "diversity", "per_document", "neighbours"]
    assert [step.failed for step in steps] == [False, True, False, False, False]
    assert "not on this machine" in steps[1].note
    assert [place.rank for place in steps[-1].places] == [1, 2]
    assert [place.chunk_id for place in steps[-1].places] == [hit.chunk_id for hit in result.hits]
    assert result.hits[0].path == "second.md"
    assert result.route == Route(exact=True, thorough=True)
    assert result.rewritten is None


def test_without_stages_a_search_says_that_there_was_none(shelf: Workspace) -> None:
    with searching(shelf) as searcher:
        result = searcher.search("insurance forms", tenant="default", k=2)
    assert (result.steps, result.rewritten, len(result.hits)) == ((), None, 2)


def test_the_statement_is_asked_for_more_than_the_caller_so_that_stages_can_choose(shelf: Workspace) -> None:
    """All notices are nearer than the other document, which two hits alone would not have."""
    question = "the canteen is closed on Friday afternoon"
    with searching(shelf, per_document=1) as searcher:
        (step,) = searcher.search(question, tenant="default", k=2, mode="dense").steps
    assert len(step.places) > 2


def test_what_is_asked_is_the_question_as_it_was_mended(shelf: Workspace) -> None:
    rewriting = RewritingSettings(spelling=True, synonyms=(("factory", "works"),))
    with searching(shelf, rewriting=rewriting) as searcher:
        searcher.prepare("default")
        result = searcher.search("insuranxe", tenant="default", mode="lexical")
        hidden = searcher.search("bluefalcom", tenant="default", mode="lexical")
    assert result.rewritten == Rewritten("insurance", (Change("spelling", "insuranxe", "insurance"),))
    assert {hit.path for hit in result.hits} == {"second.md", "other.md"}
    assert hidden.rewritten == Rewritten("bluefalcom")


def test_where_rewriting_fails_the_question_is_asked_as_typed(
    shelf: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dict(queries(), words_found="SELECT 1 / 0 AS word")
    with searching(shelf, rewriting=RewritingSettings(spelling=True)) as searcher:
        searcher.prepare("default")
        monkeypatch.setattr("rag_pipelines.store.database.queries", lambda: broken)
        result = searcher.search("xinsurance forms", tenant="default")
    assert result.rewritten is not None
    assert result.rewritten.text == "xinsurance forms"
    assert "DivisionByZero" in result.rewritten.note
    assert result.hits[0].path == "second.md"


def test_a_search_is_answered_without_a_stage_whose_version_was_dropped_meanwhile(shelf: Workspace) -> None:
    stages = make_stages(StageSettings(diversity=DiversitySettings(), per_document=1))
    hits = shelf.search("canteen", k=5)
    with shelf.database.connection() as connection:
        connection.execute("DROP TABLE rag.vectors_1")
    candidates, (diversity, _) = stages.run(asking(shelf, "canteen"), hits)
    assert diversity.failed
    assert "vectors_1" in diversity.note
    assert candidates[0].hit == hits[0]


def rewritten(shelf: Workspace, text: str, principals: Sequence[str] = ()) -> Rewritten:
    """The question as it is asked, with a vocabulary that is there."""
    settings = RewritingSettings(spelling=True, synonyms=(("canteen", "cafeteria"),))
    rewriter = Rewriter(settings, shelf.database)
    try:
        asked = asking(shelf, text, principals=principals)
        return rewriter.rewrite(asked, wait_seconds=30)
    finally:
        rewriter.close()


@pytest.mark.parametrize(
    ("typed", "asked_for"),
    [
        ("insuranxe forms", "insurance forms"),
        ("INSURANXE FROMS", "INSURANCE FORMS"),
        ("Insuranxe froms", "Insurance forms"),
        ("InsuranXe FROMS", "InsuranXe FROMS"),
        ("the cantene", "the canteen (cafeteria)"),
        ("xylophone quartz", "xylophone quartz"),
        ("insured", "insured"),
    ],
)
def test_a_word_that_the_corpus_does_not_know_becomes_the_nearest_that_it_does(
    shelf: Workspace, typed: str, asked_for: str
) -> None:
    assert rewritten(shelf, typed).text == asked_for


def test_the_spelling_tells_nobody_what_hidden_documents_say(shelf: Workspace) -> None:
    """A hidden word is not offered, and typed right it is as unknown as any other."""
    assert rewritten(shelf, "bluefalcom").text == "bluefalcom"
    assert rewritten(shelf, "bluefalcom", ["group:board"]).text == "bluefalcon"
    assert rewritten(shelf, "bluefalcon").text == "bluefalcon"


def test_until_the_vocabulary_is_read_questions_are_asked_as_they_are(shelf: Workspace) -> None:
    rewriter = Rewriter(RewritingSettings(spelling=True), shelf.database)
    with shelf.database.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE rag.lexical_1 IN ACCESS EXCLUSIVE MODE")
        asked = asking(shelf, "insuranxe")
        early = rewriter.rewrite(asked)
    rewriter.close()
    assert early == Rewritten("insuranxe", note="no spelling: the vocabulary is not read yet")


@pytest.fixture
def reader(shelf: Workspace) -> Iterator[Database]:
    """A login that row-level security holds for."""
    role = f"stages_{psycopg.conninfo.conninfo_to_dict(shelf.url)['dbname']}"
    with shelf.database.connection() as connection:
        admit_reader(connection, role)
    database = Database(shelf.url.replace("postgresql://postgres@", f"postgresql://{role}@"))
    yield database
    database.close()
    with psycopg.connect(shelf.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


def test_every_stage_works_for_the_login_that_row_level_security_holds_for(
    shelf: Workspace, reader: Database
) -> None:
    stages: dict[str, Any] = {"diversity": DiversitySettings(), "neighbours": NeighbourSettings()}
    expected = staged(shelf, "fasten screw number 20", k=5, **stages)
    shelf.document["database"]["reader_url"] = reader.url
    with searching(shelf, rewriting=RewritingSettings(spelling=True), **stages) as searcher:
        searcher.prepare("default")
        result = searcher.search("fastem screw number 20", tenant="default", k=5)
    assert list(result.hits) == expected
    assert not any(step.failed for step in result.steps)


def test_a_context_has_the_rest_of_a_section_where_there_is_room_and_the_caller_may_see_it(
    shelf: Workspace,
) -> None:
    found = shelf.result("fasten screw number 20", mode="lexical", k=1)
    stranger = msgspec.structs.replace(found, asked_by=AskedBy("other", ("everyone",)))
    with searching(shelf) as searcher:
        (wide,) = searcher.pack(found, 4000).passages
        (plain,) = searcher.pack(stranger, 4000).passages
        (tight,) = searcher.pack(found, plain.tokens + 1).passages
    assert plain.text == tight.text == found.hits[0].text
    assert plain.text in wide.text
    assert len(wide.chunk_ids) > 1
    assert wide.citation.label == found.hits[0].citation


def test_neighbours_are_asked_for_by_who_may_see_their_document_now(shelf: Workspace) -> None:
    hits = shelf.search("bluefalcon", mode="lexical", k=2, principals=["group:board"])
    around = Neighbours(NeighbourSettings(before=5, after=5))
    assert not around.read(asking(shelf, "bluefalcon"), hits)
    assert len(around.read(asking(shelf, "bluefalcon", principals=["group:board"]), hits)) == 2


def test_row_level_security_alone_keeps_the_neighbours_of_what_a_caller_may_not_see(
    shelf: Workspace, reader: Database
) -> None:
    """Even if a stage were handed a hit of a closed document."""
    hits = shelf.search("bluefalcon", mode="lexical", k=2, principals=["group:board"])
    settings = NeighbourSettings(before=5, after=5)
    nobody = asking(shelf, "bluefalcon", database=reader)
    asked = msgspec.structs.replace(nobody, principals=["everyone", "group:board"])
    assert not Neighbours(settings).read(asked, hits)
    assert not vectors_of(asked, hits).any()
    asked = asking(shelf, "bluefalcon", principals=["group:board"], database=reader)
    assert len(Neighbours(settings).read(asked, hits)) == 2


def test_the_vocabulary_of_that_login_has_the_words_of_what_everybody_may_read(
    shelf: Workspace, reader: Database
) -> None:
    vocabularies = Vocabularies(reader)
    vocabulary = vocabularies.of("lexical_1", "default", wait_seconds=30)
    vocabularies.close()
    assert vocabulary is not None
    assert vocabulary.near("insuranxe") == ["insurance"]
    assert vocabulary.near("bluefalcom") == []


def test_a_word_of_any_of_the_indexs_languages_is_known(shelf: Workspace) -> None:
    """Stemmed as English, what a German page has would be no word of it, and be mended to another."""
    shelf.document["indexes"]["main"]["lexical"] = {"languages": {"de": "german"}}
    page = "# Häuser\n\nDie Wanderungen beginnen an den Häusern, und die Wanderung ist nicht weit von dort."
    shelf.write("de.md", page)
    shelf.write("zwei.md", page + " Auch hier.")
    shelf.ingest()
    shelf.publish(full=True)
    with searching(shelf, rewriting=RewritingSettings(spelling=True)) as searcher:
        searcher.prepare("default")
        known = searcher.search("Wanderungen", tenant="default")
        mended = searcher.search("Wanderumgen", tenant="default")
    assert known.rewritten == Rewritten("Wanderungen")
    assert mended.rewritten is not None
    assert mended.rewritten.text == "Wanderungen"


def test_a_policy_gives_way_to_its_successor_unless_its_year_is_asked_for(workspace: Workspace) -> None:
    body = "# Travel policy\n\nA hotel may cost up to {} euros a night for everybody who travels."
    workspace.write("old.md", f"---\nstatus: superseded\nyear: 2024\n---\n\n{body.format(95)}")
    workspace.write("new.md", f"---\nsupersedes: old.md\nyear: 2026\n---\n\n{body.format(130)}")
    workspace.write("travel/rules-2024.md", body.format(80).replace("Travel policy", "Rules for trips"))
    workspace.write("travel/rules-2026.md", body.format(90).replace("Travel policy", "Rules for trips"))
    workspace.ingest()
    workspace.publish()

    def ranked(question: str) -> list[str]:
        return list(dict.fromkeys(hit.path for hit in workspace.search(question, k=10, mode="lexical")))

    now, then = ranked("What may a hotel cost?"), ranked("What might a hotel cost in 2024?")
    assert now.index("new.md") < now.index("old.md")
    assert now.index("travel/rules-2026.md") < now.index("travel/rules-2024.md")
    assert then.index("travel/rules-2024.md") < then.index("travel/rules-2026.md")
    assert then.index("old.md") < len(then) == len(now) == 4
    (old,) = (hit for hit in workspace.search("What may a hotel cost?") if hit.path == "old.md")
    assert old.metadata["status"] == "superseded"
