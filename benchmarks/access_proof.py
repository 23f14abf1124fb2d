"""Who sees what, against an oracle, by each layer alone; and what row-level security costs a search.

    python benchmarks/access_proof.py [--worlds 40] [--rows 50000] [--queries 60]

First random worlds: forty documents with random rules, tenants, deletions and former rules, random groups in
groups, random callers; every search is compared with the oracle document by document. Then one index of
`--rows` passages with random vectors: the same searches by the owner (the predicate alone) and by the reader
(predicate and policies), turn by turn, so that both meet the same load.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rag_pipelines.index.access_gate import Caller, Facts
from rag_pipelines.model import AccessRule
from rag_pipelines.query.search import Searcher
from rag_pipelines.store import database as store
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.test_access_property import (
    ALL_MODES,
    DOCUMENTS,
    GROUPS,
    TENANTS,
    USERS,
    Worlds,
)
from rag_pipelines_tests.integration.test_row_security import as_role, without_predicate
from rag_pipelines_tests.integration.workspace import Workspace

ROLE = "rag_reader"
CALLERS = 30
SEED = 20
SHARES = {"half": 2, "tenth": 10, "hundredth": 100, "thousandth": 1000}


def some(rng: random.Random, names: Sequence[str], most: int) -> tuple[str, ...]:
    """A few of the names."""
    return tuple(rng.sample(names, rng.randint(0, most)))


def a_rule(rng: random.Random) -> AccessRule:
    """A random rule; one in five denies somebody."""
    names = (*USERS, *GROUPS, "everyone")
    clauses = tuple(some(rng, names, 3) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    return AccessRule(clauses, some(rng, names, 2) if rng.random() < 0.2 else ())


def some_facts(rng: random.Random) -> Facts:
    """What decides about one random document; one in four holds text that is not its own any more."""
    former = (rng.choice(TENANTS), a_rule(rng)) if rng.random() < 0.25 else None
    return Facts(rng.choice(TENANTS), rng.random() < 0.15, a_rule(rng), former)


def prove(folder: Path, url: str, rounds: int) -> None:
    """Print decisions, leaks and wrong denials of each layer."""
    worlds = Worlds(folder, url, ROLE)
    named = store.queries
    print(f"{'layer':<22} {'searches':>9} {'decisions':>10} {'leaks':>6} {'denials':>8}")
    for layer in ("predicate and policies", "policies alone", "predicate alone"):
        rng = random.Random(SEED)
        searches = leaks = denials = 0
        store.queries = without_predicate() if layer == "policies alone" else named  # type: ignore[assignment]
        searcher = worlds.owner if layer == "predicate alone" else worlds.searcher()
        for _ in range(rounds):
            world = [some_facts(rng) for _ in range(DOCUMENTS)]
            directories = {
                tenant: {group: some(rng, (*USERS, *GROUPS), 4) for group in some(rng, GROUPS, 8)}
                for tenant in TENANTS
            }
            oracle = worlds.make(world, directories)
            for number in range(CALLERS):
                caller = Caller("", rng.choice((*TENANTS, "grey")), some(rng, (*USERS, *GROUPS), 3))
                held = oracle.held(caller)
                expected = {
                    document
                    for (document, _), one in zip(worlds.passages, world, strict=True)
                    if oracle.may_read(caller, held, one)
                }
                found = worlds.found(searcher, caller, ALL_MODES[number % 3])
                searches += 1
                leaks += len(found - expected)
                denials += len(expected - found)
        if searcher is not worlds.owner:
            searcher.close()
        print(f"{layer:<22} {searches:>9,} {searches * DOCUMENTS:>10,} {leaks:>6} {denials:>8}", flush=True)
    store.queries = named
    worlds.close()


def measure(folder: Path, url: str, rows: int, queries: int) -> None:
    """Print the p50 and p95 of the same searches with and without row-level security."""
    rng = random.Random(SEED)
    vocabulary = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in ("ra", "lo", "ti", "mu", "ne")]
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            groups = [f"group:{name}" for name, share in SHARES.items() if number % share == 0]
            text = " ".join(rng.choices(vocabulary, k=30))
            row = {"id": f"d{number}", "text": f"{text} {number}", "access": ["group:all", *groups]}
            file.write(json.dumps(row) + "\n")
    options = {"path": str(folder / "corpus.jsonl"), "id": "id", "text": "text", "access": "access"}
    workspace = Workspace(
        folder,
        url,
        sources={"docs": {"connector": "records", "options": options}},
        limits={"batch_documents": 1000},
    )
    began = time.perf_counter()
    workspace.ingest()
    workspace.publish()
    (proof,) = workspace.rows("SELECT detail FROM rag.gate_result WHERE gate = 'access_proof'")
    print(f"{rows:,} passages indexed in {time.perf_counter() - began:.0f} s; gate: {proof['detail']}")
    with workspace.database.connection() as connection:
        admit_reader(connection, ROLE)
    owner = Searcher(workspace.database, workspace.settings, "main")
    workspace.document["database"]["reader_url"] = as_role(url, ROLE)
    reader = Searcher(workspace.database, workspace.settings, "main")
    print(
        f"{'caller':<11} {'mode':<8} {'owner p50':>10} {'p95':>7} {'reader p50':>11} {'p95':>7} {'ratio':>6}"
    )
    for name in ("all", *SHARES):
        for mode in ALL_MODES:
            times: dict[str, list[float]] = {"owner": [], "reader": []}
            same = True
            for number in range(queries + 5):
                question = " ".join(random.Random(number).choices(vocabulary, k=4))
                found = {}
                for who, searcher in (("owner", owner), ("reader", reader)):
                    began = time.perf_counter()
                    hits = searcher.search(
                        question, tenant="default", principals=[f"group:{name}"], mode=mode
                    ).hits
                    if number >= 5:
                        times[who].append((time.perf_counter() - began) * 1000)
                    found[who] = [hit.chunk_id for hit in hits]
                same &= found["owner"] == found["reader"]
            (a, b), (c, d) = (
                (statistics.median(some), statistics.quantiles(some, n=20)[18]) for some in times.values()
            )
            print(
                f"{name:<11} {mode:<8} {a:10.2f} {b:7.2f} {c:11.2f} {d:7.2f} {c / a:6.2f} {same}", flush=True
            )
    for one in (owner, reader, workspace):
        one.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=40)
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
                (Path(folder) / name).mkdir()
            prove(Path(folder) / "worlds", url.replace("/rag?", "/worlds?"), arguments.worlds)
            if arguments.rows:
                cost = url.replace("/rag?", "/cost?")
                measure(Path(folder) / "cost", cost, arguments.rows, arguments.queries)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
