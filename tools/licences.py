"""Says under which licence each package is that an installation brings, and which of them need a decision.

    python -m tools.licences                    base requirements and what they bring
    python -m tools.licences serve models       with extras
    python -m tools.licences --md serve         as Markdown

Read from the metadata of what is installed here: a package that names no licence is told as such. The exit
code is 1 where one is under a licence that obliges, and is not among those that were decided on.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = "rag-pipelines"

_ARCHIVES = "LGPL, used as a library: extra `archives`, which an installation can leave out"
DECIDED = {
    "inflate64": _ARCHIVES,
    "multivolumefile": _ARCHIVES,
    "py7zr": _ARCHIVES,
    "pybcj": _ARCHIVES,
    "pyppmd": _ARCHIVES,
    "pymupdf": "AGPL or Artifex' commercial licence: what the user chose; PYMUPDF=without leaves it out",
    "pymupdf-layout": "part of PyMuPDF",
    "pymupdf4llm": "part of PyMuPDF",
    "psycopg": "LGPL, used as a library and not changed: what the user chose",
    "psycopg-binary": "part of psycopg",
    "psycopg-pool": "part of psycopg",
    "psycopg2-binary": "LGPL, used as a library: extra `postgres-storage`, asked for by Dagster",
}
"""Packages under a licence that obliges, and what was decided about each (docs/explanation/decisions.md)."""

_OBLIGES = re.compile(
    r"\b(A?GPL|LGPL|(Affero|Lesser)? ?General Public License|Polyform|SSPL|EUPL)", re.IGNORECASE
)
_VAGUE = frozenset({"", "unknown", "dual license", "other/proprietary license"})
_NAME = re.compile(r"[-_.]+")


class Licence(NamedTuple):
    """What a package says of itself."""

    name: str
    version: str
    licence: str

    @property
    def obliges(self) -> bool:
        """Whether it asks more of who passes it on than naming its authors, or says too little to tell.

        A choice of licences obliges only where each of them does.
        """
        choices = [one for one in re.split(r"\bOR\b", self.licence) if one.strip()]
        return not choices or all(_OBLIGES.search(one) for one in choices)


def licences(extras: Sequence[str] = ()) -> Iterator[Licence]:
    """Every package that an installation with these extras brings, by name, as far as it is installed."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(f"{ROOT}[{','.join(extras)}]" if extras else ROOT)]
    while waiting:
        wanted = waiting.pop()
        name = _NAME.sub("-", wanted.name).lower()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        if name in found and not wanted.extras:
            continue
        found[name] = package
        for text in package.requires or ():
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in wanted.extras or {""}]
            if requirement.marker is None or any(requirement.marker.evaluate(one) for one in environments):
                waiting.append(requirement)
    del found[ROOT]
    for name in sorted(found):
        yield Licence(name, found[name].version, _licence(found[name]))


def undecided(found: Sequence[Licence]) -> list[Licence]:
    """Those that oblige, and about which nothing was decided."""
    return [one for one in found if one.obliges and one.name not in DECIDED]


def _licence(package: Distribution) -> str:
    """The expression, else the classifiers, else the first line of the field, which may hold a whole text."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return expression
    marks = [
        one.rpartition(" :: ")[2]
        for one in told.get_all("Classifier") or ()
        if one.startswith("License ::") and one != "License :: OSI Approved"
    ]
    field = (told.get("License") or "").strip().partition("\n")[0][:80]
    return " OR ".join(marks) if marks else ("" if field.lower() in _VAGUE else field)


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 where something is undecided."""
    markdown = "--md" in arguments
    found = list(licences([one for one in arguments if one != "--md"]))
    if markdown:
        print("| package | version | licence | |\n|---|---|---|---|")
    for one in found:
        note = DECIDED.get(one.name, "UNDECIDED" if one in undecided(found) else "")
        cells = (one.name, one.version, one.licence or "not named", note)
        print(f"| {' | '.join(cells)} |" if markdown else "{:36} {:14} {:44} {}".format(*cells).rstrip())
    left = undecided(found)
    if left:
        print(f"decide about {', '.join(one.name for one in left)}, and add them to DECIDED", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
