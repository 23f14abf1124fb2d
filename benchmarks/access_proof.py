"""Who sees what, against an oracle, by each layer alone; what row-level security costs; what time tells.

    python benchmarks/access_proof.py [--worlds 334] [--rows 50000] [--queries 60]

First random worlds: forty documents of two tenants with random rules, deletions and former rules, random
groups in groups, and in each thirty random searches (caller, words, mode, route, number of hits), compared
with the oracle; with the policies alone, the rows of every table by id as well. Then one index of `--rows`
passages with random vectors: the same searches by the owner (predicate alone) and by the reader (predicate
and policies), turn by turn, so that both meet the same load; and, turn by turn too, a word that only hidden
passages have beside a word that none has.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from history import Figures

from rag_pipelines.query.hits import Mode
from rag_pipelines.query.search import Searcher
from rag_pipelines.store import database as store
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.access_worlds import (
    MODES,
    Worlds,
    random_case,
    random_facts,
    random_groups,
)
from rag_pipelines_tests.integration.test_row_security import as_role, without_predicate
from rag_pipelines_tests.integration.workspace import Workspace

FIGURES = Figures("access_proof")

ROLE = "rag_reader"
SEARCHES = 30
SEED = 20
WARM = 5
SHARES = {"half": 2, "tenth": 10, "hundredth": 100, "thousandth": 1000}
HIDDEN = {"umbriel": 2, "titania": 20, "ariel": 1000}
"""Words that only documents have that `SHARES` does not show, and one in how many has them."""

VOCABULARY = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in ("ra", "lo", "ti", "mu", "ne")]


def prove(folder: Path, url: str, rounds: int) -> None:
    """Print searches, leaks and wrong denials of each layer."""
    worlds = Worlds(folder, url, ROLE)
    named = store.queries
    print(f"{'layer':<24} {'cases':>7} {'minutes':>8} {'leaks':>6} {'denials':>8}")
    for layer in ("predicate and policies", "policies alone", "predicate alone"):
        store.queries = without_predicate() if layer == "policies alone" else named  # type: ignore[assignment]
        searcher = worlds.owner if layer == "predicate alone" else worlds.searcher()
        rng, began = random.Random(SEED), time.perf_counter()
        searched, read = [], []
        for _ in range(rounds):
            worlds.make([random_facts(rng, tenant) for tenant in worlds.tenants], random_groups(rng))
            for _ in range(SEARCHES):
                case = random_case(rng)
                searched.append(worlds.ask(searcher, case))
                if layer == "policies alone":
                    read.append(worlds.read(case.caller))
        if searcher is not worlds.owner:
            searcher.close()
        minutes = (time.perf_counter() - began) / 60
        for name, faults in ((layer, searched), ("  rows by id", read)):
            if faults:
                leaks, denials = (sum(some) for some in zip(*faults, strict=True))
                print(f"{name:<24} {len(faults):>7,} {minutes:>8.1f} {leaks:>6} {denials:>8}", flush=True)
                FIGURES.ratio(f"leaks, {name.strip()}", leaks / len(faults))
                FIGURES.ratio(f"wrong denials, {name.strip()}", denials / len(faults))
    store.queries = named
    worlds.close()


def measure(folder: Path, url: str, rows: int, queries: int) -> None:
    """Print what row-level security costs, and what the time of an answer tells."""
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in corpus(rows))
    options = {"path": str(folder / "corpus.jsonl"), "id": "id", "text": "text", "access": "access"}
    workspace = Workspace(
        folder,
        url,
        sources={"docs": {"connector": "records", "options": options}},
        limits={"batch_documents": 1000},
        query={"cache": {"results": 0}},
    )
    began = time.perf_counter()
    workspace.ingest()
    workspace.publish()
    (proof,) = workspace.rows("SELECT detail FROM rag.gate_result WHERE gate = 'access_proof'")
    print(f"\n{rows:,} passages indexed in {time.perf_counter() - began:.0f} s; gate: {proof['detail']}")
    with workspace.database.connection() as connection:
        admit_reader(connection, ROLE)
    owner = Searcher(workspace.database, workspace.settings, "main")
    workspace.document["database"]["reader_url"] = as_role(url, ROLE)
    reader = Searcher(workspace.database, workspace.settings, "main")
    print_cost(owner, reader, queries)
    print_timing(reader, queries)
    for one in (owner, reader, workspace):
        one.close()


def corpus(rows: int) -> Iterator[dict[str, Any]]:
    """Passages of random words; those with an odd number have words of their own, too."""
    rng = random.Random(SEED)
    for number in range(rows):
        groups = [f"group:{name}" for name, share in SHARES.items() if number % share == 0]
        words = [*rng.choices(VOCABULARY, k=30), str(number)]
        words += [word for word, share in HIDDEN.items() if number % share == 1]
        yield {"id": f"d{number}", "text": " ".join(words), "access": ["group:all", *groups]}


def print_cost(owner: Searcher, reader: Searcher, queries: int) -> None:
    """The same searches without and with row-level security, in milliseconds."""
    print(
        f"{'caller':<11} {'mode':<8} {'owner p50':>10} {'p95':>7} {'reader p50':>11} {'p95':>7} {'ratio':>6}"
    )
    questions = [" ".join(random.Random(number).choices(VOCABULARY, k=4)) for number in range(queries + WARM)]
    for name in ("all", *SHARES):
        for mode in MODES:
            without, under = in_turns(
                [partial(owner.search, text, **asking(name, mode)) for text in questions],
                [partial(reader.search, text, **asking(name, mode)) for text in questions],
            )
            (a, b), (c, d) = (
                (statistics.median(ms), statistics.quantiles(ms, n=20)[18]) for ms in (without, under)
            )
            print(f"{name:<11} {mode:<8} {a:10.2f} {b:7.2f} {c:11.2f} {d:7.2f} {c / a:6.2f}", flush=True)
            FIGURES.ratio(f"reader / owner, {name}, {mode}", c / a)


def print_timing(reader: Searcher, queries: int) -> None:
    """A word of hidden passages beside a word of none: how much longer it takes, and how often."""
    print(f"\n{'caller':<11} {'mode':<8} {'hidden passages':>15} {'ms':>8} {'no word ms':>10} {'longer':>7}")
    for name in ("half", "hundredth"):
        for mode in MODES[1:]:
            for word, share in HIDDEN.items():
                hidden, none = in_turns(
                    [partial(reader.search, word, **asking(name, mode))] * (queries + WARM),
                    [partial(reader.search, "oberon", **asking(name, mode))] * (queries + WARM),
                )
                longer = sum(a > b for a, b in zip(hidden, none, strict=True)) / len(hidden)
                print(
                    f"{name:<11} {mode:<8} {'1 in ' + str(share):>15} {statistics.median(hidden):8.2f} "
                    f"{statistics.median(none):10.2f} {longer:7.0%}",
                    flush=True,
                )


def asking(group: str, mode: Mode) -> dict[str, Any]:
    """A search by somebody in a group."""
    return {"tenant": "default", "principals": [f"group:{group}"], "mode": mode}


def in_turns(
    first: Sequence[Callable[[], Any]], second: Sequence[Callable[[], Any]]
) -> tuple[list[float], list[float]]:
    """Milliseconds of each call, made in turns; the first few are left out."""
    times: tuple[list[float], list[float]] = ([], [])
    for number, calls in enumerate(zip(first, second, strict=True)):
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            calls[side]()
            if number >= WARM:
                times[side].append((time.perf_counter() - began) * 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=334)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-access-") as folder:
        server = EmbeddedServer(Path(folder) / "server")
        url = server.start()
        try:
            for name in ("worlds", "cost"):
                database = Database(url)
                with database.connection() as connection:
                    connection.execute(f"CREATE DATABASE {name}")
                database.close()
                Database(url.replace("/rag?", f"/{name}?")).migrate()
                (Path(folder) / name).mkdir()
            if arguments.worlds:
                prove(Path(folder) / "worlds", url.replace("/rag?", "/worlds?"), arguments.worlds)
            if arguments.rows:
                cost = url.replace("/rag?", "/cost?")
                measure(Path(folder) / "cost", cost, arguments.rows, arguments.queries)
        finally:
            server.stop()
    FIGURES.record(worlds=arguments.worlds, rows=arguments.rows, queries=arguments.queries)


if __name__ == "__main__":
    main()
