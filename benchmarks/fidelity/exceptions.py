"""Where the reference is wrong, as judged by eye: read from `exceptions.yaml` and applied.

What belongs here: taking words back that no reader is asked for. What does not: changing what a reading is
given credit for.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import yaml

from fidelity.references import NoReference
from fidelity.scoring import DRAWN, Reference, tokens

FILE = Path(__file__).with_suffix(".yaml")


class Exemption(NamedTuple):
    """One judgement: of the files whose label matches, words by expression, by kind, or all of the file; or
    the cells, by an expression that one contains, whose neighbours are not asked for."""

    files: str
    reason: str
    words: str | None = None
    kinds: tuple[str, ...] = ()
    cells: str | None = None

    def covers(self, word: str, reference: Reference) -> bool:
        if self.words is not None and re.fullmatch(self.words, word) is None:
            return False
        kinds = reference.kinds.get(word)
        return not self.kinds or (max(kinds, key=lambda kind: kinds[kind]) if kinds else DRAWN) in self.kinds

    def without(self, cell: str) -> str:
        """The words of a cell that are still asked for; those of one kind only stay."""
        if self.words is None or self.kinds:
            return cell
        return " ".join(word for word in tokens(cell) if re.fullmatch(self.words, word) is None)


def judged() -> list[Exemption]:
    """Every judgement of the file."""
    return [
        Exemption(
            one["files"], one["reason"], one.get("words"), tuple(one.get("kinds", ())), one.get("cells")
        )
        for one in yaml.safe_load(FILE.read_text(encoding="utf-8")) or ()
    ]


def excepted(reference: Reference, label: str, exemptions: list[Exemption]) -> Reference:
    """The reference without the words that are not asked for.

    Raises:
        NoReference: the whole file was judged to be shown wrongly.
    """
    for one in exemptions:
        if not fnmatchcase(label, one.files):
            continue
        if one.cells is not None:
            reference = replace(reference, rows=list(_parted(reference.rows, re.compile(one.cells))))
            continue
        if one.words is None and not one.kinds:
            raise NoReference(f"judged: {one.reason}")
        kept = {word: n for word, n in reference.required.items() if not one.covers(word, reference)}
        rows = (
            reference.rows if one.words is None else [list(map(one.without, row)) for row in reference.rows]
        )
        reference = replace(reference, required=Counter(kept), rows=rows)
    return reference


def _parted(rows: list[list[str]], cell: re.Pattern[str]) -> Iterator[list[str]]:
    """The rows, parted where one holds such a cell."""
    for row in rows:
        for matches, cells in itertools.groupby(row, lambda one: cell.search(one) is not None):
            if not matches:
                yield list(cells)
