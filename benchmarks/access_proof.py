"""Who sees what, against an oracle, by each layer alone; what can be inferred; what row-level security costs.

    python benchmarks/access_proof.py [--worlds 334] [--rows 50000] [--queries 60]

First random worlds: forty documents of two tenants with random rules, deletions and former rules, random
groups in groups, and thirty random searches in each (caller, words, mode, route, number of hits), compared with
the oracle; with the policies alone, the rows of every table by id as well. Then one index of `--rows` passages
with random vectors: the same searches by the owner (the predicate alone) and by the reader (predicate and
policies), turn by turn, so that both meet the same load; and questions whose words only hidden passages have
beside questions whose words no passage has.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

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

ROLE = "rag_reader"
SEARCHES = 30
SEED = 20
SHARES = {"half": 2, "tenth": 10, "hundredth": 100, "thousandth": 1000}


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
        for mode in MODES:
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
                (Path(folder) / name).mkdir()
            prove(Path(folder) / "worlds", url.replace("/rag?", "/worlds?"), arguments.worlds)
            if arguments.rows:
                cost = url.replace("/rag?", "/cost?")
                measure(Path(folder) / "cost", cost, arguments.rows, arguments.queries)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
