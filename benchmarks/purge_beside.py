"""How long a purge with proof and a collection take while a run and a build over the same documents go on.

What belongs here: a corpus, a run that loads all of it again (as slowly as told), a build in full, and the
seconds of purges and collections meanwhile. What does not: whether they are right (the tests of histories).

    python benchmarks/purge_beside.py [--documents 20000] [--pause 0.002] [--purges 4]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from history import Figures
from refresh import INDEX, SOURCE, configured, text

from rag_pipelines.config import load_config
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.gates.refresh import refresh_index
from rag_pipelines.index.build import build_index
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import purge_document
from rag_pipelines.runtime import Runtime, open_runtime
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.scope import Scope

FIGURES = Figures("purge_beside")


def throttle(pause: float) -> None:
    """Let every listed file come so many seconds after the one before it."""
    items = FilesystemConnector.items

    def slowly(self: FilesystemConnector, *arguments: Any) -> Any:
        for entry in items(self, *arguments):
            time.sleep(pause)
            yield entry

    FilesystemConnector.items = slowly  # type: ignore[method-assign]


def beside(runtime: Runtime, purges: int) -> dict[str, list[float]]:
    """Seconds of each purge and collection, as long as the run and the build go on."""
    workers = [
        threading.Thread(target=ingest, args=(runtime, SOURCE, Scope(full=True))),
        threading.Thread(target=build_index, args=(runtime, INDEX), kwargs={"full": True}),
    ]
    for worker in workers:
        worker.start()
    taken: dict[str, list[float]] = {"purge with proof": [], "collection": []}

    def timed(what: str, act: Callable[[], object]) -> None:
        began, living = time.perf_counter(), sum(worker.is_alive() for worker in workers)
        act()
        taken[what].append(time.perf_counter() - began)
        print(f"{what:<20}{taken[what][-1]:>8.2f}s   beside {living} of run and build", flush=True)

    for number in range(purges):
        time.sleep(1)
        name = f"{number * 100 + 11}.md"
        timed("purge with proof", lambda name=name: _purge(runtime, name))  # type: ignore[misc]
        timed("collection", lambda: collect_garbage(runtime.database, runtime.settings))
    for worker in workers:
        worker.join()
    return taken


def _purge(runtime: Runtime, name: str) -> None:
    found = purge_document(
        runtime.database, runtime.settings, SOURCE, name, even_if_present=True, verify=True
    )
    assert found.proof is not None
    assert not found.proof.left, found.proof.left


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=0.002, help="seconds between two listed files")
    parser.add_argument("--purges", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-purge-") as folder:
        home = Path(folder)
        (home / SOURCE).mkdir()
        for number in range(arguments.documents):
            (home / SOURCE / f"{number}.md").write_text(text(number, 0), encoding="utf-8")
        with closing(open_runtime(load_config(configured(home, "folder")))) as runtime:
            ingest(runtime, SOURCE)
            refresh_index(runtime, INDEX, full=True)
            collect_garbage(runtime.database, runtime.settings)
            throttle(arguments.pause)
            taken = beside(runtime, arguments.purges)
            EmbeddedServer(runtime.settings.postgres_dir).stop()
    for what, seconds in taken.items():
        FIGURES.context(f"seconds of a {what}, longest", max(seconds))
    FIGURES.ratio("all within a minute", float(max(map(max, taken.values())) < 60))
    FIGURES.record(**vars(arguments))


if __name__ == "__main__":
    main()
