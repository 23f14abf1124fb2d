"""Whether what an index holds and answers is distributed as it was: vectors, passages, empty results.

What belongs here: profiles of live versions, and comparing them with those of the days before. What does not:
whether an index holds what its sources show (`verification.drift`), and what a candidate must show (`gates`).

Distributions are compared by the population stability index, the sum over classes of
``(now - before) * ln(now / before)`` of their shares, as credit scoring has it (Siddiqi, Credit Risk
Scorecards, 2006): below 0.1 nothing moved, above 0.25 something did.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
from psycopg import sql
from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import Settings
from rag_pipelines.index.graph import walk_settings
from rag_pipelines.index.storage import Storage, storage_of_version
from rag_pipelines.index.versions import Version, live_version
from rag_pipelines.store.database import Database, Pg, Row, compose_query, query
from rag_pipelines.stored import Form

SAMPLE = 1_000
"""Passages looked at."""

NEIGHBOURS = 300
"""Of these, those whose nearest neighbour is asked for."""

FEWEST = 50
"""Of fewer on either side nothing is said: by chance alone their index would be large."""

UNSEEN = 0.5
"""What a class counts that nothing fell into, so that a logarithm can be taken."""

LANGUAGES = 8
"""Languages told apart; the rarer ones are one class."""


class IndexProfile(msgspec.Struct, frozen=True):
    """How an index is distributed on a day: for each measure, how many fell into each class."""

    norm: dict[str, int] = {}
    neighbour_distance: dict[str, int] = {}
    passage_length: dict[str, int] = {}
    language: dict[str, int] = {}
    empty_results: dict[str, int] = {}


PROFILE = Form("index profile", IndexProfile)


class Shift(msgspec.Struct, frozen=True):
    """How far a measure of an index is from what it was. `index` is None where too few were seen to tell."""

    measure: str
    stability: float | None
    moved: bool
    days: int
    """Days that it is compared with."""


MEASURES: Mapping[str, str] = {
    "norm": "the lengths of vectors",
    "neighbour_distance": "how far a passage is from the nearest other one",
    "passage_length": "the lengths of passages",
    "language": "the languages of documents",
    "empty_results": "searches that find nothing",
}


def take_profile(database: Database, settings: Settings, index: str) -> tuple[Version, IndexProfile] | None:
    """The live version of an index and how it is distributed today; None where nothing is live."""
    with database.connection() as connection, connection.transaction():
        version = live_version(connection, index)
        if version is None:
            return None
        storage = storage_of_version(version)
        for name, setting in walk_settings(settings.index(index).vector).items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, setting))
        sampled = sql.SQL("({})").format(
            compose_query("spread_rows", {"table": storage.parts("vectors")["vectors"]})
        )
        rows = query(connection, "sampled_passages", {"sample": SAMPLE}, {"sampled": sampled}).fetchall()
        distances = [_nearest_other(connection, storage, row) for row in rows[:NEIGHBOURS]]
        since = datetime.now(UTC) - timedelta(days=7)
        served = query(connection, "served_classes", {"index_name": index, "since": since}).fetchone()
    assert served is not None
    languages = Counter(row["language"] or "not declared" for row in rows)
    known = dict(languages.most_common(LANGUAGES))
    return version, IndexProfile(
        norm=_counted(f"{row['norm']:.3f}" for row in rows),
        neighbour_distance=_counted(_tenth(one) for one in distances if one is not None),
        passage_length=_counted(_power(row["length"]) for row in rows),
        language={**known, "others": rest} if (rest := len(rows) - sum(known.values())) else known,
        empty_results=dict(served),
    )


def keep_profile(connection: Pg, version: Version, profile: IndexProfile) -> None:
    """Keep the profile of today; a later call on the same day replaces it."""
    params = {
        "index_name": version.index_name,
        "version_id": version.version_id,
        "model_id": version.model_id,
        "classes": Jsonb(PROFILE.encode(profile)),
    }
    query(connection, "put_index_profile", params)


def find_shifts(connection: Pg, settings: Settings, version: Version, profile: IndexProfile) -> list[Shift]:
    """How each measure stands against the profiles kept within the window before today.

    Vectors of another model have other norms and distances: only days of the same one count for these.
    """
    since = datetime.now(UTC).date() - settings.kpis.window
    params = {"index_name": version.index_name, "since": since}
    kept = query(connection, "index_profiles", params).fetchall()
    return [
        _shift(measure, getattr(profile, measure), kept, version.model_id, settings.kpis.shift)
        for measure in MEASURES
    ]


def index_shifts(
    database: Database, settings: Settings, index: str, *, keep: bool = False
) -> list[Shift] | None:
    """The shifts of an index as it is now; None where nothing is live. With `keep` later days are compared
    with it."""
    taken = take_profile(database, settings, index)
    if taken is None:
        return None
    with database.transaction() as connection:
        shifts = find_shifts(connection, settings, *taken)
        if keep:
            keep_profile(connection, *taken)
    return shifts


def stability_index(now: Mapping[str, int], before: Mapping[str, int]) -> float:
    """The population stability index of counts by class against those of before."""
    classes = now.keys() | before.keys()
    shares = [{name: max(counts.get(name, 0), UNSEEN) for name in classes} for counts in (now, before)]
    sums = [sum(counts.values()) for counts in shares]
    return sum(
        (a - b) * math.log(a / b)
        for name in classes
        for a, b in [(shares[0][name] / sums[0], shares[1][name] / sums[1])]
    )


def _shift(measure: str, now: Mapping[str, int], kept: Sequence[Row], model_id: int, allowed: float) -> Shift:
    of_vectors = measure in ("norm", "neighbour_distance")
    days: dict[date, Mapping[str, int]] = {
        row["day"]: getattr(PROFILE.decode(row["classes"]), measure)
        for row in kept
        if row["model_id"] == model_id or not of_vectors
    }
    before: Counter[str] = Counter()
    for counts in days.values():
        before.update(counts)
    if sum(now.values()) < FEWEST or before.total() < FEWEST:
        return Shift(measure, None, False, len(days))
    index = round(stability_index(now, before), 4)
    return Shift(measure, index, index > allowed, len(days))


def _nearest_other(connection: Pg, storage: Storage, row: Row) -> float | None:
    """The cosine distance of a passage to the nearest one that is not the same text; None if it is alone."""
    params = {"query": row["embedding"], "k": 2}
    found = query(
        connection,
        "nearest_approximate",
        params,
        {**storage.parts("type"), "walked": storage.walk(sql.SQL("true"), 2)},
    ).fetchall()
    return 1 - found[1]["score"] if len(found) > 1 else None


def _counted(classes: Iterable[str]) -> dict[str, int]:
    return dict(Counter(classes))


def _tenth(distance: float) -> str:
    """The class of a cosine distance."""
    return f"{min(max(distance, 0.0), 1.0):.1f}"


def _power(length: int) -> str:
    """The class of a length: up to the next power of two."""
    return str(1 << max(length - 1, 0).bit_length())
