"""Results and fingerprints change together: every stage makes of the corpus what its pin says.

``python tools/pin_stages.py`` runs this module to write what it otherwise compares, by RAG_GOLDEN.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

import pytest

from rag_pipelines.chunking.fingerprints import STRATEGIES, chunker_stage
from rag_pipelines.index.words import words_stage
from rag_pipelines.parsing.fingerprints import parser_stage
from rag_pipelines.provenance.libraries import versions
from rag_pipelines.provenance.stages import PINS, Pin, StageCode, code_of, made_by, read_pins
from rag_pipelines.store.database import Database
from rag_pipelines_tests.golden import corpus
from rag_pipelines_tests.golden.corpus import READ_HERE, Results
from rag_pipelines_tests.golden.settling import ADVICE, Seen, Verdict, settled, verdict, written

MODE = os.environ.get("RAG_GOLDEN", "")
"""Empty to compare; ``write``, ``equal`` or ``new`` to make what is found the expected."""

LIBRARIES = corpus.FOLDER / "libraries.json"


@pytest.fixture(scope="module")
def parses() -> Mapping[str, Results]:
    return corpus.parses()


@pytest.fixture
def words(database_url: str) -> Results:
    database = Database(database_url)
    database.migrate()
    with database.connection() as connection:
        found = corpus.words(connection)
    database.close()
    return found


def see(stage: StageCode, results: Results, pins: Sequence[Pin]) -> Seen:
    """A stage beside what is expected of it; a pinned one of which nothing is expected yet is as expected."""
    code, known = code_of(stage), json.loads(LIBRARIES.read_text()) if LIBRARIES.exists() else {}
    here, before = versions(code.libraries), corpus.expected(stage.key)
    pinned = any((pin.stage, pin.digest) == (stage.key, code.digest) for pin in pins)
    equal = corpus.as_kept(results) == before if before else pinned
    return Seen(stage.key, code.digest, equal, all(known.get(name) == here[name] for name in here))


def hold(stage: StageCode, results: Results) -> None:
    """Fail with what to do where results or code are not as they were pinned."""
    pins = read_pins(PINS.read_text())
    found = verdict(see(stage, results, pins), pins)
    if found is Verdict.OTHER_LIBRARIES:
        pytest.skip(f"{stage.key}: {found}")
    if found is not Verdict.FINE:
        before, now = corpus.expected(stage.key), corpus.as_kept(results)
        names = [name for name in {**now, **before} if now.get(name) != before.get(name)]
        differing = f" ({', '.join(names)})" if names else ""
        pytest.fail(f"{stage.key}: {found}{differing};\n{ADVICE[found]}", pytrace=False)


@pytest.mark.skipif(bool(MODE), reason="writes")
@pytest.mark.parametrize("media_type", sorted(READ_HERE))
def test_a_parser_and_its_fingerprint_change_together(parses: Mapping[str, Results], media_type: str) -> None:
    stage = parser_stage(media_type)
    assert parses[stage.key], "the corpus has a document of every format"
    hold(stage, parses[stage.key])


@pytest.mark.skipif(bool(MODE), reason="writes")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_chunker_and_its_fingerprint_change_together(strategy: str) -> None:
    hold(chunker_stage(strategy), corpus.chunks(strategy, corpus.expected_parses()))


@pytest.mark.skipif(bool(MODE), reason="writes")
def test_the_words_of_an_index_and_their_fingerprint_change_together(words: Results) -> None:
    hold(words_stage(), words)


@pytest.mark.skipif(bool(MODE), reason="writes")
def test_every_pin_is_of_a_stage() -> None:
    assert {pin.stage for pin in read_pins(PINS.read_text())} == {stage.key for stage in corpus.stages()}


@pytest.mark.skipif(not MODE, reason="compares")
def test_write(parses: Mapping[str, Results], words: Results) -> None:
    """Not a test: what `tools/pin_stages.py` runs. Everything is written, or nothing."""
    pins = read_pins(PINS.read_text())
    parsed = {name: result for results in parses.values() for name, result in results.items()}
    before = {**parsed, **corpus.expected_parses()}
    new = {**parses, words_stage().key: words}
    seen = [
        see(parser_stage(media_type), parses[parser_stage(media_type).key], pins) for media_type in READ_HERE
    ]
    for strategy in STRATEGIES:
        seen.append(see(chunker_stage(strategy), corpus.chunks(strategy, before), pins))
        new[chunker_stage(strategy).key] = corpus.chunks(strategy, parsed)
    seen.append(see(words_stage(), words, pins))

    verdicts = {one.stage: verdict(one, pins) for one in seen}
    for stage, found in verdicts.items():
        if found is not Verdict.FINE:
            print(f"{stage}: {found}")
    for bad in [Verdict.UNSEEN] + [Verdict.UNDECIDED] * (MODE == "write"):
        if bad in verdicts.values():
            pytest.fail(f"nothing was written. Where {bad}:\n{ADVICE[bad]}", pytrace=False)
    for stage, results in new.items():
        corpus.keep(stage, results)
    PINS.write_text(written(settled(seen, pins, equal=MODE == "equal")))
    here = {name: version for one in corpus.stages() for name, version in made_by(one).libraries.items()}
    LIBRARIES.write_text(f"{json.dumps(here, indent=1, sort_keys=True)}\n")
