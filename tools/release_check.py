"""Says whether this commit can be tagged, with everything that is wrong at once.

    python -m tools.release_check

Checked: the version has a dated heading in CHANGELOG.md, the tree is clean, generated files are current,
wheel and sdist can be built, their metadata renders, and they hold what an installation needs. Builds in a
temporary folder.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from rag_pipelines import __version__
from tools import dump_schema, public_api

ROOT = Path(__file__).parents[1]

PACKAGE = "rag_pipelines"


def changelog_problems(text: str, version: str) -> list[str]:
    """What the changelog lacks for a tag of `version`."""
    found = re.search(rf"^## \[{re.escape(version)}\] - (.+)$", text, re.MULTILINE)
    if found is None:
        return [f"CHANGELOG.md has no heading '## [{version}] - DATE'"]
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", found[1]):
        return [f"CHANGELOG.md dates {version} {found[1]!r}; a release has a date like 2026-12-01"]
    newest = re.search(r"^## \[(.+?)\]", text, re.MULTILINE)
    if newest and newest[1] != version:
        return [f"the newest heading of CHANGELOG.md is {newest[1]}, the code is {version}"]
    return []


def tree_problems() -> list[str]:
    """Files that a tag would not hold."""
    changed = _output("git", "status", "--porcelain").splitlines()
    return [f"not committed: {line[3:]}" for line in changed]


def build(folder: Path) -> tuple[Path, Path]:
    """Build wheel and sdist of the working tree into `folder`; returns both."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def needed_files() -> set[str]:
    """What an installation needs, by its path in the wheel: each tracked file of the package and of `sql`."""
    tracked = _output("git", "ls-files", PACKAGE, "sql").splitlines()
    return {re.sub(r"^sql/", f"{PACKAGE}/_sql/", path) for path in tracked}


def wheel_problems(wheel: Path, needed: set[str]) -> list[str]:
    """What a wheel lacks."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    problems = [f"the wheel lacks {path}" for path in sorted(needed - held)]
    if not any(re.search(r"\.dist-info/licenses/LICENSE$", path) for path in held):
        problems.append("the wheel lacks its licence")
    if f"{PACKAGE}/py.typed" not in held:
        problems.append("the wheel does not say that it is typed (py.typed)")
    return problems


def sdist_problems(sdist: Path) -> list[str]:
    """What an sdist lacks to be built from."""
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    needed = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "sql/schema.sql")
    return [f"the sdist lacks {path}" for path in needed if path not in held]


def metadata_problems(*files: Path) -> list[str]:
    """What a package index would refuse."""
    made = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)],
        capture_output=True,
        text=True,
    )
    return [] if made.returncode == 0 else [f"twine check: {made.stdout.strip() or made.stderr.strip()}"]


def main() -> int:
    """Run every check, print what is wrong; the exit status."""
    problems = changelog_problems((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)
    problems += tree_problems()
    problems += _stale(dump_schema.main, "sql/schema.sql", "make schema")
    problems += _stale(public_api.main, "docs/reference/public-api.txt", "python -m tools.public_api")
    with tempfile.TemporaryDirectory(prefix="rag-release-") as folder:
        wheel, sdist = build(Path(folder))
        problems += wheel_problems(wheel, needed_files()) + sdist_problems(sdist)
        problems += metadata_problems(wheel, sdist)
    for problem in problems:
        print(f"- {problem}")
    print(f"{__version__} can be tagged" if not problems else f"{__version__} cannot be tagged yet")
    return 1 if problems else 0


def _stale(check: Callable[[list[str]], int], file: str, remedy: str) -> list[str]:
    return [f"{file} is not current; run: {remedy}"] if check(["--check"]) else []


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
