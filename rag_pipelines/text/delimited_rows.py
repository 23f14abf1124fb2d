"""Rows of delimited text (CSV and its kin, RFC 4180), read so that a stray quote costs one cell.

What belongs here: where a quoted cell ends. What does not: finding the delimiter and what the columns mean.

The standard library's reader takes an opening quote that nothing closes for a cell of all the lines that
follow. Here such a quote is a character of its cell, and the other quoted cells of its line stay whole.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache

_MAX_LINES, _LEAST_MAX_LINES = 100_000, 200
"""How many lines one row may have; halved with each quote that is never closed, down to the second figure."""


def delimited_rows(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of `lines` (with their line ends), each with the number of its last line, from 1.

    An empty line is a row without cells. Spaces behind a delimiter are left out.

    Raises:
        csv.Error: a cell is longer than `csv.field_size_limit`.
    """
    source = iter(lines)
    again: deque[str] = deque()
    number, usual, limit = 0, 0, _MAX_LINES
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while len(taken) < limit:
            line = again.popleft() if again else next(source, None)
            if line is None:
                return
            taken.append(line)
            yield line

    while True:
        for row in csv.reader(feed(), delimiter=delimiter, skipinitialspace=True):
            if len(taken) > 1:
                alone = _split(taken[0], delimiter, usual)
                if not _is_closed("".join(taken), delimiter) or len(row) != usual == len(alone):
                    again.extendleft(reversed(taken[1:]))
                    taken.clear()
                    limit = max(limit // 2, _LEAST_MAX_LINES)
                    number += 1
                    yield number, alone
                    break
            else:
                if taken[0].count('"') % 2:
                    row = _split(taken[0], delimiter, usual)
                usual = len(row)
            number += len(taken)
            taken.clear()
            yield number, row
        else:
            return


def rows_of_text(text: str, delimiter: str) -> Iterator[list[str]]:
    """The rows of a whole text, by the standard library's reader alone where no quote can be stray.

    None can, and no cell has several lines, where each line has an even number of quotes.
    """
    lines = io.StringIO(text, newline="")
    if '"' in text and any(line.count('"') % 2 for line in lines):
        lines.seek(0)
        return (row for _, row in delimited_rows(lines, delimiter))
    lines.seek(0)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _split(line: str, delimiter: str, usual: int) -> list[str]:
    """The cells of one line; a quote that is not closed in front of a delimiter is a character.

    So is one inside a quoted cell, where that gives the `usual` number of cells.
    """
    line = line.rstrip("\r\n")
    strict, loose = _cells(line, _cell(delimiter)), _cells(line, _loose_cell(delimiter))
    return loose if len(loose) == usual != len(strict) else strict


def _cells(line: str, cell: re.Pattern[str]) -> list[str]:
    cells: list[str] = []
    at = -1
    while at < len(line):
        match = cell.match(line, at + 1)
        assert match is not None
        cells.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        at = match.end()
    return cells


def _is_closed(row: str, delimiter: str) -> bool:
    """Whether every quoted cell of more than one line ends where a cell can end."""
    for match in _quoted(delimiter).finditer(row):
        if match[1] is None or (match[2] and "\n" in match[1]):
            return False
    return True


@lru_cache(maxsize=8)
def _cell(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    return re.compile(rf' *"([^"]*(?:""[^"]*)*)"[ \t]*(?={mark}|$)|([^{mark}]*)')


@lru_cache(maxsize=8)
def _loose_cell(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    end = rf'"[ \t]*(?={mark}|$)'
    return re.compile(rf' *"((?:[^"]|(?!{end})")*){end}|([^{mark}]*)')


@lru_cache(maxsize=8)
def _quoted(delimiter: str) -> re.Pattern[str]:
    """A cell that begins with a quote: its text (None if nothing closes it), and what is behind the quote."""
    mark = re.escape(delimiter)
    return re.compile(
        rf'(?:(?<=[{mark}\r\n])|\A) *"(?:([^"]*(?:""[^"]*)*)"(?!")[ \t]*([^{mark}\r\n]*)|.*\Z)', re.DOTALL
    )
