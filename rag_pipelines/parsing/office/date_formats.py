"""Moments and lengths of time as a spreadsheet shows them.

What belongs here: the codes for dates and times of the number format language (ECMA-376 part 1, section
18.8.31), and serial numbers, which count days from an epoch. What does not: splitting a format into
sections (`number_formats`).

A date whose month is a number is written in ISO 8601, as precise as its format shows it: 03/04/2024 means
two things, and a reader of passages cannot ask which. One that names its month, a lone day or month, and any
time of day is written as its format says. Names are English; a format in another language gets ISO 8601.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

Moment = datetime | date | time | timedelta

EPOCH_1900 = datetime(1899, 12, 30)
EPOCH_1904 = datetime(1904, 1, 1)
"""Day 0 of the two date systems. The first one holds 29 February 1900, a day that never was: day 60."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_LANGUAGE = re.compile(r"-(?:x-\w+|(?:[0-9A-F]*?)([0-9A-F]{1,4})|([a-z]{2})\b.*)", re.IGNORECASE)
_PRIMARY_LANGUAGE, _ENGLISH, _SYSTEM = 0x3FF, 0x09, (0x0000, 0x0400, 0xF400, 0xF800)
_CJK_DATE = re.compile("[年月日년월일]")
_LETTER = re.compile(r"[^\W\d_]")
_SEVERAL_FIGURES = re.compile(r"\d\D+\d")
_YEAR_AND_MONTH = re.compile(r"\d{1,2}\D\d{4}|\d{4}\D\d{1,2}")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


class Token(NamedTuple):
    """One piece of a format: ``date`` ``yyyy``, ``literal`` ``/``."""

    kind: str
    text: str


def moment_of(serial: int | float, epoch: datetime = EPOCH_1900) -> datetime | None:
    """The moment of a serial number, to the millisecond; None where there is none (before the epoch)."""
    if serial < 0 or serial > 2_958_466:
        return None
    days, part = divmod(serial, 1)
    if epoch == EPOCH_1900 and days < 60:
        days += 1
    try:
        return epoch + timedelta(days=days, milliseconds=round(part * 86_400_000))
    except OverflowError:
        return None


def serial_of(value: int | float | Moment, epoch: datetime = EPOCH_1900) -> int | float:
    """The serial number of a moment or of a length of time; a number is one."""
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, time):
        value = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
    if not isinstance(value, timedelta):
        moment = value if isinstance(value, datetime) else datetime.combine(value, time())
        value = moment.replace(tzinfo=None) - epoch
    days = value / timedelta(days=1)
    return int(days) if days.is_integer() else days


def iso_date(moment: str, shown: str) -> str:
    """A date of figures, `shown` in any order, in ISO 8601 and as precise; one with a name in it stays.

    `moment` is the date in ISO 8601, as ``2024-03-04T09:30:00``.
    """
    day, _, clock = moment.partition("T")
    figures = shown.partition(":")[0].split()[:1] or [""]
    if not shown:
        return f"{day} {clock[:5]}" if clock.strip("0:.") else day
    if _LETTER.search(shown) or not _SEVERAL_FIGURES.search(figures[0]):
        return shown
    times = shown.count(":")
    if _YEAR_AND_MONTH.fullmatch(shown):
        return day[:7]
    return f"{day} {clock[: 2 + 3 * times]}" if times and clock.strip("0:.") else day


class MomentFormat:
    """A section of a format that shows a moment or a length of time."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = _with_minutes(tokens)
        kinds = {text[0].lower() for kind, text in self._tokens if kind == "date"}
        self._half_day = any(kind == "half_day" for kind, _ in self._tokens)
        self._elapsed = any(kind == "elapsed" for kind, _ in self._tokens)
        self._date = kinds & set("ymda")
        self._time = kinds & set("hns")
        self._fraction = max((len(text) - 1 for kind, text in self._tokens if kind == "fraction"), default=0)
        names = any(kind == "date" and text[0] in "md" and len(text) > 2 for kind, text in self._tokens)
        literals = "".join(text for kind, text in self._tokens if kind in ("quoted", "literal"))
        as_it_says = (names and _is_english(tokens)) or _CJK_DATE.search(literals) is not None
        eras = any(kind == "era" for kind, _ in self._tokens)
        alone = len(self._date) == 1 and "y" not in self._date
        self._iso = bool(self._date) and (eras or not (as_it_says or alone))

        self._ends = self._words_around() if self._iso else ("", "")

    def show(self, value: int | float | Moment, epoch: datetime = EPOCH_1900) -> str:
        """A serial number, a moment, or a length of time."""
        if self._elapsed:
            return self._show_elapsed(serial_of(value, epoch))
        if isinstance(value, time):
            if not self._time:
                return self._format(datetime.combine(EPOCH_1900 + timedelta(days=1), value))
            moment = datetime.combine(EPOCH_1900 + timedelta(days=1), value)
            return self._clock(moment) if self._iso else self._format(moment)
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime.combine(value, time())
        else:
            found = moment_of(serial_of(value, epoch), epoch)
            if found is None:
                return str(value)
            moment = found
        return self._iso_text(moment) if self._iso else self._format(moment)

    def _iso_text(self, moment: datetime) -> str:
        """ISO 8601, as precise as the format; midnight beside a date is left out."""
        moment = self._rounded(moment)
        if self._date == {"y"}:
            shown = f"{moment.year:04d}"
        elif self._date == {"y", "m"}:
            shown = f"{moment.year:04d}-{moment.month:02d}"
        else:
            shown = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
        if self._time and moment.time() != time():
            shown = f"{shown} {self._clock(moment)}"
        first, last = self._ends
        return f"{first}{shown}{last}".strip() if first or last else shown

    def _clock(self, moment: datetime) -> str:
        moment = self._rounded(moment)
        seconds = f":{moment:%S}{self._fraction_of(moment)}" if "s" in self._time else ""
        return f"{moment:%H:%M}{seconds}"

    def _words_around(self) -> tuple[str, str]:
        """The words that a format puts before and behind its date."""
        places = [n for n, (kind, _) in enumerate(self._tokens) if kind in ("date", "half_day", "fraction")]
        ends = self._tokens[: places[0]], self._tokens[places[-1] + 1 :]
        first, last = ("".join(_literals(end)) for end in ends)
        return first if _LETTER.search(first) else "", last if _LETTER.search(last) else ""

    def _format(self, moment: datetime) -> str:
        moment = self._rounded(moment)
        shown: list[str] = []
        for kind, text in self._tokens:
            if kind == "date":
                shown.append(_part(moment, text, self._half_day))
            elif kind == "half_day":
                am, _, pm = text.partition("/")
                shown.append(am if moment.hour < 12 else pm)
            elif kind == "fraction":
                shown.append(self._fraction_of(moment))
            else:
                shown.extend(_literals([Token(kind, text)]))
        return "".join(shown).strip()

    def _show_elapsed(self, days: int | float) -> str:
        unit = 10**self._fraction
        ticks = round(abs(days) * 86_400 * unit)
        if not any(text[0].lower() == "s" for kind, text in self._tokens if kind in ("date", "elapsed")):
            ticks = int(abs(days) * 86_400 + 0.0005) * unit
        seconds, part = divmod(ticks, unit)
        shown: list[str] = []
        for kind, text in self._tokens:
            if kind == "elapsed":
                size = _SECONDS[text[0].lower()]
                shown.append(f"{seconds // size:0{len(text)}d}")
                seconds %= size
            elif kind == "date" and text[0] in "hns":
                size = _SECONDS["m" if text[0] == "n" else text[0]]
                shown.append(f"{seconds // size % (24 if size == 3600 else 60):0{len(text)}d}")
            elif kind == "fraction":
                shown.append(f".{part:0{self._fraction}d}")
            else:
                shown.extend(_literals([Token(kind, text)]))
        return ("-" if days < 0 and ticks else "") + "".join(shown).strip()

    def _rounded(self, moment: datetime) -> datetime:
        """To the smallest part shown if that is seconds or less; larger parts are cut."""
        if "s" not in self._time or not moment.microsecond:
            return moment
        step = 10 ** (6 - min(self._fraction, 6))
        away = -moment.microsecond % step
        away = away if 2 * away <= step else away - step
        try:
            return moment + timedelta(microseconds=away)
        except OverflowError:
            return moment

    def _fraction_of(self, moment: datetime) -> str:
        return f".{moment.microsecond:06d}"[: self._fraction + 1] if self._fraction else ""


def _part(moment: datetime, text: str, half_day: bool) -> str:
    """One part of a moment: its letter says which, the number of its letters how."""
    letter, size = text[0], len(text)
    if letter == "y":
        return f"{moment.year:04d}" if size > 2 else f"{moment.year % 100:02d}"
    if letter == "m" and size > 2:
        name = _MONTHS[moment.month - 1]
        return name[:3] if size == 3 else name[:1] if size == 5 else name
    if letter in "da" and size > 2:
        name = _DAYS[moment.weekday()]
        return name[:3] if size == 3 else name
    number = {
        "m": moment.month,
        "d": moment.day,
        "h": (moment.hour % 12 or 12) if half_day else moment.hour,
        "n": moment.minute,
        "s": moment.second,
    }[letter]
    return f"{number:0{min(size, 2)}d}"


def _with_minutes(tokens: Iterable[Token]) -> list[Token]:
    """The tokens with ``n`` for minutes and ``fraction`` for parts of seconds.

    An ``m`` means minutes directly behind hours or before seconds.
    """
    found: list[Token] = []
    before = ""
    for kind, text in tokens:
        if kind in ("date", "elapsed"):
            text = text.lower()
            letter = text[0]
            if kind == "date" and letter == "m" and before == "h" and len(text) < 3:
                text = letter = "n" * len(text)
            if letter == "s" and before == "m":
                last = max(n for n, one in enumerate(found) if one.kind in ("date", "elapsed"))
                if found[last].kind == "date" and len(found[last].text) < 3:
                    found[last] = Token("date", "n" * len(found[last].text))
            before = letter[0]
            found.append(Token(kind, text))
        elif kind == "digit" and text == "0" and found and found[-1].kind == "fraction":
            found[-1] = Token("fraction", found[-1].text + "0")
        elif kind == "sign" and text in ".," and before == "s" and found and found[-1].text[:1] == "s":
            found.append(Token("fraction", "."))
        else:
            found.append(Token(kind, text))
    return [Token("literal", ".") if one == ("fraction", ".") else one for one in found]


def _literals(tokens: Iterable[Token]) -> Iterable[str]:
    for kind, text in tokens:
        if kind == "pad":
            yield " "
        elif kind in ("quoted", "escaped", "literal", "currency", "sign", "digit", "exponent"):
            yield text


def _is_english(tokens: Iterable[Token]) -> bool:
    """Whether no other language is asked for, as ``[$-407]`` asks for German ([MS-LCID])."""
    for kind, text in tokens:
        match = _LANGUAGE.match(text) if kind == "locale" else None
        if match and match[2]:
            return match[2].lower() == "en"
        if match and match[1]:
            number = int(match[1], 16)
            return number in _SYSTEM or number & _PRIMARY_LANGUAGE == _ENGLISH
    return True
