"""What running an ingest through Dagster costs over calling `ingest()`: wall and processor seconds.

What belongs here: the same documents, once by the core alone, once as Dagster assets, once as assets with
the quality checks; each arm in a fresh process with an empty database, the model replaced by a hash. What
does not: anything about the model.

Run with::

    python benchmarks/dagster_overhead.py [--corpus FOLDER] [--documents 2000] [--rounds 1]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.runtime import Runtime

FIGURES = Figures("dagster_overhead")

ARMS = ("ingest()", "assets", "assets and checks")
LIMIT_S = 5.0

WORDS = [
    "sensor",
    "level",
    "alarm",
    "station",
    "battery",
    "depth",
    "valve",
    "notice",
    "policy",
    "budget",
    "contract",
]


def main() -> int:
    """Run every arm in turn and print what each cost; 1 if the assets cost more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, help="a folder of documents; by default some are made up")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(run_arm(options.arm, options.config)))
        return 0
    with tempfile.TemporaryDirectory(prefix="rag-bench-", ignore_cleanup_errors=True) as folder:
        return compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> int:
    """Every arm `rounds` times, interleaved; the best of each counts."""
    from rag_pipelines.store.embedded import EmbeddedServer

    corpus = options.corpus or make_corpus(folder / "corpus", options.documents)
    server = EmbeddedServer(folder / "server")
    server.start()
    best: dict[str, dict[str, float]] = {}
    try:
        for number in range(options.rounds):
            for arm in ARMS:
                found = measure(folder, server.start(), corpus, arm, number)
                if arm not in best or found["wall_s"] < best[arm]["wall_s"]:
                    best[arm] = found
    finally:
        server.stop()
    show(best)
    for arm, found in best.items():
        FIGURES.context(f"wall s, {arm}", found["wall_s"])
        if arm != ARMS[0]:
            FIGURES.ratio(f"wall, {arm} / {ARMS[0]}", found["wall_s"] / best[ARMS[0]]["wall_s"])
    FIGURES.record(corpus=options.corpus, documents=options.documents, rounds=options.rounds)
    return int(best["assets and checks"]["wall_s"] - best["ingest()"]["wall_s"] > LIMIT_S)


def measure(folder: Path, server_url: str, corpus: Path, arm: str, number: int) -> dict[str, float]:
    """One arm in a process of its own, with a database and a data folder of its own."""
    import psycopg

    name = f"arm_{ARMS.index(arm)}_{number}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    head, _, query = server_url.partition("?")
    document = {
        "data_dir": str(folder / name),
        "database": {"url": f"{head.rpartition('/')[0]}/{name}?{query}"},
        "profiles": {"embedding": {"default": {"provider": "hash"}}},
        "sources": {
            "docs": {"connector": "filesystem", "options": {"root": str(corpus)}, "access": "public"}
        },
        "indexes": {"main": {"sources": ["docs"]}},
    }
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps(document), encoding="utf-8")
    command, env = [sys.executable, __file__, "--arm", arm, "--config", str(config)], environment(folder)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(answer.stdout.splitlines()[-1]), "wall_s": wall, "processor_s": processor}


def environment(folder: Path) -> dict[str, str]:
    """The environment of an arm: a Dagster home of its own, and nothing that phones home."""
    home = folder / "dagster"
    made = {**os.environ, "DAGSTER_HOME": str(home)}
    if not home.exists():
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        initialise = [sys.executable, "-m", "dagster", "instance", "info"]
        subprocess.run(initialise, check=True, stdout=subprocess.DEVNULL, env=made)
    return made


def run_arm(arm: str, config: Path) -> dict[str, float]:
    """The work itself, in this process; what it stored."""
    from rag_pipelines.config import load_config

    settings = load_config(config)
    if arm == "ingest()":
        stored = _by_core(settings)
    else:
        stored = _by_dagster(settings, checks=arm == "assets and checks")
    return stored


def _by_core(settings) -> dict[str, float]:
    from rag_pipelines.embedding.embedders import Embedders
    from rag_pipelines.store.database import Database
    from rag_pipelines.sync.engine import ingest

    database = Database(settings.database.url.get_secret_value())
    database.migrate()
    ingest(Runtime(database, settings, Embedders(settings.data_dir)), "docs")
    return _stored(settings)


def _by_dagster(settings, *, checks: bool) -> dict[str, float]:
    import dagster as dg

    from rag_pipelines.orchestration.build import build_definitions

    definitions = build_definitions(settings=settings)
    selection = dg.AssetSelection.groups("ingest")
    job = dg.define_asset_job("measured", selection if checks else selection.without_checks())
    loaded = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.get() as instance:
        result = loaded.resolve_job_def("measured").execute_in_process(
            instance=instance,
            partition_key="docs",
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
    seconds = {}
    for event in result.all_events:
        if event.is_step_success:
            seconds[event.step_key] = round(event.step_success_data.duration_ms / 1000, 2)
    return {**_stored(settings), "steps": seconds}


def _stored(settings) -> dict[str, float]:
    import psycopg

    with psycopg.connect(settings.database.url.get_secret_value()) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM rag.document), (SELECT count(*) FROM rag.chunk), "
            "(SELECT count(*) FROM rag.embedding)"
        ).fetchone()
    return dict(zip(("documents", "chunks", "vectors"), row, strict=True))


def make_corpus(folder: Path, documents: int) -> Path:
    """Markdown documents of headings, paragraphs, a list and a table, the same ones each time."""
    folder.mkdir()
    chance = random.Random(7)

    def words(least: int, most: int) -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))

    for number in range(documents):
        parts = [f"# {words(3, 6).title()} {number}"]
        for _ in range(chance.randint(3, 9)):
            parts += [f"## {words(2, 5).title()}", *(f"{words(30, 120)}." for _ in range(3))]
            parts.append("\n".join(f"- {words(4, 12)}" for _ in range(4)))
        rows = [f"| {words(1, 2)} | {chance.randint(1, 900)} |" for _ in range(6)]
        parts.append("\n".join(["| item | value |", "|---|---|", *rows]))
        (folder / f"document-{number:05}.md").write_text("\n\n".join(parts), encoding="utf-8")
    return folder


def show(best: dict[str, dict[str, float]]) -> None:
    """Print the arms side by side."""
    table = Table(title="The same documents by the core and through Dagster")
    for column in ("arm", "documents", "chunks", "vectors", "wall s", "more s", "processor s", "steps"):
        table.add_column(column, justify="left" if column in ("arm", "steps") else "right")
    first = best[ARMS[0]]["wall_s"]
    for arm, found in best.items():
        counts = [f"{found[name]:,}" for name in ("documents", "chunks", "vectors")]
        steps = " ".join(f"{name.removeprefix('rag__')}={s}" for name, s in found.get("steps", {}).items())
        table.add_row(
            arm,
            *counts,
            f"{found['wall_s']:.2f}",
            f"{found['wall_s'] - first:+.2f}",
            f"{found['processor_s']:.2f}",
            steps,
        )
    Console(width=200).print(table)


if __name__ == "__main__":
    sys.exit(main())
