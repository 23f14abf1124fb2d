"""How many searches the HTTP service answers, how fast, and how many fail, as more clients ask at once.

Starts the service on a free port of the loopback with the demo's documents, and asks it from another
process. The same questions are also asked of `Searcher` directly, one after the other, so that what HTTP
costs is seen beside it.

    python benchmarks/serving_load.py [--seconds 5] [--clients 1 4 16] [--home FOLDER]
    python benchmarks/serving_load.py --url http://host:8080 --key KEY --question "travel policy"

With --url, a service that is running already is asked. The folder keeps the built index for the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import yaml
from history import Figures

from rag_pipelines.config import DEMO_CONFIG, load_config
from rag_pipelines.query.search import Searcher
from rag_pipelines.serving.auth import digest
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import ensure_running

FIGURES = Figures("serving_load")

QUESTIONS = (
    "How much can I claim for meals?",
    "travel policy",
    "E-4417",
    "Who approves overtime?",
    "alarm levels",
    "holiday carried over to next year",
    "report a security incident",
    "calibration interval",
)
SOME_FAILED = 3
"""The exit code of a run over sources that hold broken documents, as the demo's do on purpose."""

TENANT, PRINCIPALS = "acme-sensors", ["group:everyone-acme", "group:employees"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="of each step")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "rag-serving-load")
    parser.add_argument("--url", help="ask this service instead of starting one")
    parser.add_argument("--key", default="", help="an API key of it")
    parser.add_argument("--question", nargs="+", default=list(QUESTIONS))
    given = parser.parse_args()
    if given.url:
        measure(given.url, given.key, given.question, given.clients, given.seconds)
        return
    key = secrets.token_urlsafe()
    config = prepared(given.home, key)
    direct(config, given.question, given.seconds)
    with running(config) as url:
        measure(url, key, given.question, given.clients, given.seconds)
    FIGURES.record(seconds=given.seconds, clients=given.clients)


def prepared(home: Path, key: str) -> Path:
    """A configuration that serves the demo's documents, ingested and live."""
    home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("RAG_HOME", str(home / "data"))
    text = DEMO_CONFIG.read_text(encoding="utf-8").replace("${CONFIG_DIR}", str(DEMO_CONFIG.parent))
    document = yaml.safe_load(text)
    del document["sources"]["help-center"]  # answers as long as the demo takes
    del document["indexes"]["handbook"]["golden"]  # asks for its articles too
    del document["indexes"]["handbook"]["gates"]
    document["query"] = {"cache": {"embeddings": 0}}  # the questions repeat
    document["serving"] = {
        "api_keys": {"load": {"sha256": digest(key), "tenant": TENANT, "principals": PRINCIPALS}},
        "limits": {"requests_per_minute": 10_000_000, "burst": 1_000_000},
    }
    config = home / "rag.yaml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    for command in (["ingest"], ["index", "build", "handbook"]):
        done = subprocess.run([*program(config), *command], capture_output=True, text=True)
        if done.returncode not in (0, SOME_FAILED):
            raise SystemExit(done.stderr)
    return config


def program(config: Path) -> list[str]:
    """The command line of this environment."""
    return [sys.executable, "-c", "from rag_pipelines.cli import run; run()", "--config", str(config)]


@contextlib.contextmanager
def running(config: Path) -> Iterator[str]:
    """The address of a service in a process of its own."""
    log = config.with_suffix(".log")
    with log.open("w") as target:
        process = subprocess.Popen([*program(config), "serve", "--port", "0"], stderr=target)
    try:
        while not (found := re.search(r"running on (http://\S+)", log.read_text())):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield found[1]
    finally:
        process.terminate()
        process.wait(60)


def direct(config: Path, questions: Sequence[str], seconds: float) -> None:
    """Times of the searcher itself, for comparison."""
    settings = load_config(config)
    database = Database(ensure_running(settings))
    searcher = Searcher(database, settings, "handbook")
    for question in questions:
        searcher.search(question, tenant=TENANT, principals=PRINCIPALS)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        searcher.search(questions[len(times) % len(questions)], tenant=TENANT, principals=PRINCIPALS)
        times.append(time.perf_counter() - began)
    searcher.close()
    database.close()
    show("Searcher", times, seconds, Counter())


def measure(url: str, key: str, questions: Sequence[str], clients: Sequence[int], seconds: float) -> None:
    """Times of the service for each number of clients."""
    for number in clients:
        times, statuses, took = asyncio.run(load(url, key, questions, number, seconds))
        show(f"HTTP, {number} client(s)", times, took, statuses)


async def load(
    url: str, key: str, questions: Sequence[str], number: int, seconds: float
) -> tuple[list[float], Counter[int], float]:
    """Seconds of each good answer, statuses of all, and how long the whole took."""
    times: list[float] = []
    statuses: Counter[int] = Counter()
    headers = {"X-API-Key": key} if key else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:

        async def ask(first: int) -> None:
            asked = first
            while time.perf_counter() < end:
                began = time.perf_counter()
                body = {"query": questions[asked % len(questions)]}
                try:
                    answer = await client.post("/v1/search", json=body)
                    status = answer.status_code
                except httpx.TransportError:
                    status = 0
                statuses[status] += 1
                if status == 200:
                    times.append(time.perf_counter() - began)
                asked += 1

        started = time.perf_counter()
        end = started + seconds
        await asyncio.gather(*(ask(first) for first in range(number)))
    return times, statuses, time.perf_counter() - started


def show(what: str, times: Sequence[float], seconds: float, statuses: Counter[int]) -> None:
    """One line of figures."""
    total = sum(statuses.values()) or len(times)
    refused = {status: count for status, count in statuses.items() if status != 200}
    ms = sorted(value * 1000 for value in times) or [0.0]
    p95 = ms[min(len(ms) - 1, int(len(ms) * 0.95))]
    share = sum(refused.values()) / max(total, 1)
    FIGURES.ratio(f"errors, {what}", share)
    FIGURES.context(f"p50 ms, {what}", statistics.median(ms))
    FIGURES.context(f"searches/s, {what}", len(times) / seconds)
    print(
        f"{what:<20} {len(times) / seconds:7.1f} searches/s   p50 {statistics.median(ms):6.1f} ms   "
        f"p95 {p95:6.1f} ms   errors {share:.2%} {refused or ''}",
        flush=True,
    )


if __name__ == "__main__":
    main()
