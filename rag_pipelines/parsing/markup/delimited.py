"""CSV and its kin: one table, whatever the delimiter.

What belongs here: finding the delimiter and the header. What does not: rows as documents of their
own, which is what the `records` connector does.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.text.delimited_rows import rows_of_text

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_CHARACTERS = 65_536
_SAMPLE_ROWS = 100
_MIN_CONSISTENCY = 0.7
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)\r?\n", re.I)
_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s?\d[\d.,' ]*(?:[eE][-+]?\d+)?\s?[%)]?")
_YEAR = re.compile(r"(?:19|20)\d\d")
_NO_DELIMITER = "\x1f"
_MAX_FIELD = 10_000_000


def parse(request: ParseRequest) -> ParsedDocument:
    """The rows of a delimited file as one table; lines above it with a single filled cell as captions."""
    text = decode(request.data, charset_of(request.declared_type)).replace("\0", "")
    media_type = (request.declared_type or "text/csv").partition(";")[0]
    builder = DocumentBuilder.of(media_type, request)
    separator = _SEPARATOR_LINE.match(text)
    if separator:
        text = text[separator.end() :]
    delimiter = separator[1] if separator else sniff_delimiter(text[:_SAMPLE_CHARACTERS])
    rows = _rows(text, delimiter)
    sample = list(islice(rows, _SAMPLE_ROWS))
    width = Counter(map(len, sample)).most_common(1)[0][0] if sample else 0
    while len(sample) > 1 and width > 1 and sum(map(bool, map(str.strip, sample[0]))) == 1:
        builder.add(BlockKind.CAPTION, " ".join(sample.pop(0)))
    builder.add_table(chain(sample, rows), header_rows=int(has_header(sample)))
    return builder.finish()


def sniff_delimiter(sample: str) -> str | None:
    """The delimiter that gives most rows the same number of columns, or None where there is one column."""
    best: tuple[float, int, str] | None = None
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in islice(_rows(sample, delimiter), _SAMPLE_ROWS)]
        if not widths:
            return None
        width, count = Counter(widths).most_common(1)[0]
        consistency = count / len(widths)
        if width > 1 and consistency >= _MIN_CONSISTENCY:
            best = max(best or (0.0, 0, ""), (consistency, width, delimiter))
    return best[2] if best else None


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns.

    It does not where every column of numbers has a number there too, other than a year.
    """
    if len(rows) < 2:
        return False
    first, body = rows[0], rows[1:]
    numeric = [
        column for column in range(len(first)) if sum(_is_number(row, column) for row in body) > len(body) / 2
    ]
    if not numeric:
        return all(cell.strip() for cell in first) and len(set(first)) == len(first)
    years = all(_YEAR.fullmatch(first[column].strip()) for column in numeric)
    return years or not all(_is_number(first, column) for column in numeric)


def _is_number(row: list[str], column: int) -> bool:
    return column < len(row) and _NUMBER.fullmatch(row[column].strip()) is not None


def _rows(text: str, delimiter: str | None) -> Iterator[list[str]]:
    """The rows that are not blank; without a delimiter, of one cell each."""
    csv.field_size_limit(_MAX_FIELD)
    return filter(any, rows_of_text(text, delimiter or _NO_DELIMITER))
