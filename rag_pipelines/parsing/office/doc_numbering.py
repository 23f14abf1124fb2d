"""The numbers in front of paragraphs of an old binary Word document; section numbers are of [MS-DOC].

What belongs here: list definitions and overrides in the table stream. What does not: which list a paragraph
is in (`doc_binary`), counting (`list_levels`).
"""

from __future__ import annotations

import struct

from rag_pipelines.parsing.office.list_levels import LEVELS, Counters, Level

# Number formats by their code ([MS-OSHARED] 2.2.1.3).
_FORMATS = (
    "decimal", "upperRoman", "lowerRoman", "upperLetter", "lowerLetter", "ordinal", "cardinalText",
    "ordinalText", "hex", "chicago", "ideographDigital", "japaneseCounting", "aiueo", "iroha",
    "decimalFullWidth", "decimal", "japaneseLegal", "japaneseDigitalTenThousand", "decimalEnclosedCircle",
    "decimalFullWidth2", "aiueoFullWidth", "irohaFullWidth", "decimalZero", "bullet", "ganada", "chosung",
    "decimalEnclosedFullstop", "decimalEnclosedParen", "decimalEnclosedCircleChinese",
    "ideographEnclosedCircle", "ideographTraditional", "ideographZodiac", "ideographZodiacTraditional",
    "taiwaneseCounting", "ideographLegalTraditional", "taiwaneseCountingThousand", "taiwaneseDigital",
    "chineseCounting", "chineseLegalSimplified", "chineseCountingThousand", "decimal", "koreanDigital",
    "koreanCounting", "koreanLegal", "koreanDigital2", "hebrew1", "arabicAlpha", "hebrew2", "arabicAbjad",
    "hindiVowels", "hindiConsonants", "hindiNumbers", "decimal", "thaiLetters", "thaiNumbers", "decimal",
    "decimal", "numberInDash", "russianLower", "russianUpper",
)  # fmt: skip
_LIST_BYTES, _LEVEL_BYTES, _OVERRIDE_BYTES = 28, 28, 16
_LEGAL, _NO_RESTART = 0x04, 0x08
_SIMPLE = 0x01
_HAS_START, _HAS_LEVEL = 0x10, 0x20


class BinaryNumbering:
    """The lists of one document, and how far each has counted.

    Args:
        table: the table stream.
        lists, overrides: where the lists (2.9.214) and their overrides (2.9.211) begin in it.
    """

    def __init__(self, table: bytes, lists: int, overrides: int) -> None:
        self._counters = Counters()
        self._levels: dict[int, list[Level]] = {}
        self._overrides: list[tuple[int, dict[int, int], dict[int, Level]]] = []
        try:
            if lists:
                self._read_lists(table, lists)
            if overrides:
                self._read_overrides(table, overrides)
        except (struct.error, IndexError):  # cut short: what was read so far counts
            pass

    def next_label(self, override: int, level: int) -> str:
        """Counts a paragraph of list override number `override` (from 1); a bullet has no label."""
        if not 0 < override <= len(self._overrides) or not 0 <= level < LEVELS:
            return ""
        identifier, starts, replaced = self._overrides[override - 1]
        levels = self._levels.get(identifier)
        if levels is None:
            return ""
        own = [replaced.get(place, known) for place, known in enumerate(levels)]
        return self._counters.next_label(identifier, own, level, starts)

    def _read_lists(self, table: bytes, at: int) -> None:
        (count,) = struct.unpack_from("<h", table, at)
        heads = [table[at + 2 + _LIST_BYTES * place :][:_LIST_BYTES] for place in range(count)]
        at += 2 + _LIST_BYTES * count
        for head in heads:
            (identifier,) = struct.unpack_from("<i", head)
            levels: list[Level] = []
            for _ in range(1 if head[26] & _SIMPLE else LEVELS):
                level, at = _read_level(table, at)
                levels.append(level)
            self._levels[identifier] = levels + [Level()] * (LEVELS - len(levels))

    def _read_overrides(self, table: bytes, at: int) -> None:
        (count,) = struct.unpack_from("<I", table, at)
        heads = [
            struct.unpack_from("<i8xB", table, at + 4 + _OVERRIDE_BYTES * place) for place in range(count)
        ]
        at += 4 + _OVERRIDE_BYTES * count
        for identifier, changed in heads:
            starts: dict[int, int] = {}
            replaced: dict[int, Level] = {}
            self._overrides.append((identifier, starts, replaced))
            at += 4
            for _ in range(changed):
                start, bits = struct.unpack_from("<iI", table, at)
                at += 8
                place = bits & 0xF
                if bits & _HAS_LEVEL:
                    replaced[place], at = _read_level(table, at)
                    start = replaced[place].start
                if bits & _HAS_START and place < LEVELS:
                    starts[place] = start


def _read_level(table: bytes, at: int) -> tuple[Level, int]:
    """A level (2.9.150) and where it ends."""
    start, code, flags = struct.unpack_from("<iBB", table, at)
    characters, paragraph, limit = table[at + 24], table[at + 25], table[at + 26]
    at += _LEVEL_BYTES + characters + paragraph
    (length,) = struct.unpack_from("<H", table, at)
    stored = table[at + 2 : at + 2 + 2 * length].decode("utf-16-le", "replace")
    style = _FORMATS[code] if code < len(_FORMATS) else ""
    text = "".join(f"%{ord(one) + 1}" if ord(one) < LEVELS else one for one in stored)
    level = Level(
        "" if style in ("", "bullet") else text,
        style,
        start,
        bool(flags & _LEGAL),
        limit if flags & _NO_RESTART else None,
    )
    return level, at + 2 + 2 * length
