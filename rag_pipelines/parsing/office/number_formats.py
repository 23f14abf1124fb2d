"""Spreadsheet values as a person sees them: a number through the format of its cell.

What belongs here: the number format language of spreadsheets (ECMA-376 part 1, section 18.8.31): its
sections and conditions, digits, masks, fractions, exponents, literals. What does not: reading cells, and how
moments are written (`date_formats`).

Written here because no kept Python library has it: openpyxl, xlrd and calamine hand out the code of a format
and the bare number. Rounding is half away from zero, on the fifteen digits that a spreadsheet keeps.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from rag_pipelines.parsing.office.date_formats import (
    EPOCH_1900,
    MomentFormat,
    Token,
    moment_of,
    serial_of,
)

Value = str | bool | int | float | datetime | date | time | timedelta | None

_TOKEN = re.compile(
    r"""
      "(?P<quoted>[^"]*)"?
    | \\(?P<escaped>.)
    | (?P<pad>_.)
    | (?P<fill>\*.)
    | \[(?P<elapsed>h+|m+|s+)\]
    | \[(?P<condition>[<>=]{1,2}\s*-?[\d.]+(?:E[+-]?\d+)?)\]
    | \[\$(?P<currency>[^\]-]*)(?P<locale>[^\]]*)\]
    | \[(?P<colour>[^\]]*)\]
    | (?P<general>General|Standard)
    | (?P<half_day>AM/PM|A/P|上午/下午)
    | (?P<date>y+|m+|d+|h+|s+|aaaa?)
    | (?P<era>g+|e+(?![+-]))
    | (?P<exponent>(?<=[0\#?])E[+-])
    | (?P<digit>[0\#?])
    | (?P<section>;)
    | (?P<sign>[.,%/@])
    | (?P<literal>.)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_CONDITION = re.compile(r"([<>=]{1,2})\s*(-?[\d.]+(?:E[+-]?\d+)?)", re.IGNORECASE)
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
    "<>": operator.ne,
}
_IGNORED = frozenset({"fill", "colour", "condition", "locale"})
_ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)
_SIMPLE = re.compile(r"(x*)(#*0)(x*)\.(0*)(x*)")
_MAX_FORMAT, _MAX_DECIMALS = 1_000, 30
_MAX_FRACTION_SIZE = 1e15

_Condition = tuple[str, float]

EAST_ASIAN_FORMATS: Final = {
    **dict.fromkeys((27, 36, 50, 52, 57), 'yyyy"年"m"月"'),
    **dict.fromkeys((28, 29, 51, 53, 54, 58), 'm"月"d"日"'),
    30: "yyyy-mm-dd",
    31: 'yyyy"年"m"月"d"日"',
    **dict.fromkeys((32, 34, 55), "h:mm"),
    **dict.fromkeys((33, 35, 56), "h:mm:ss"),
}
"""The built-in formats 27 to 58, of which each East Asian edition has its own (ECMA-376 18.8.30); what they
share, in the characters of Chinese and Japanese."""


def display(value: Value, number_format: str = "General", *, epoch: datetime = EPOCH_1900) -> str:
    """`value` as the text that its cell shows; an empty string for None.

    Args:
        number_format: the code of the format, as ``#,##0.00;[Red](#,##0.00)``.
        epoch: the day that a serial number counts from, where a number is shown as a moment.
    """
    return "" if value is None else number_format_of(number_format).show(value, epoch)


def general(value: int | float) -> str:
    """A number under the format General: up to fifteen digits, none of them noise of the binary form.

    A cell rounds further to its width, which is not a property of the value.
    """
    if isinstance(value, int):
        return str(value)
    return f"{value:.15G}"


@lru_cache(maxsize=4096)
def number_format_of(code: str) -> NumberFormat:
    """The format that a code means; one that nobody can read shows values as General does."""
    return NumberFormat(code[:_MAX_FORMAT])


class NumberFormat:
    """One number format, split into its sections."""

    def __init__(self, code: str) -> None:
        sections = list(map(_Section, _split(code)))
        texts = [section for section in sections if section.is_text]
        numbers = sections[:3] if len(sections) > 3 else [one for one in sections if not one.is_text]
        self._text = sections[3] if len(sections) > 3 else texts[-1] if texts else None
        self._numbers = numbers
        first = numbers[0].condition if numbers else None
        self._conditional = any(one.condition for one in numbers[:2])
        self._magnitude = [_shows_magnitude(n, one, len(numbers), first) for n, one in enumerate(numbers)]

        only = numbers[0] if len(numbers) == 1 else None
        self._single = only if only is not None and only.moment is None and not only.condition else None
        self.shows_text_as_it_is = self._text is None or self._text.is_plain_text

    def show(
        self,
        value: str | bool | int | float | datetime | date | time | timedelta,
        epoch: datetime = EPOCH_1900,
    ) -> str:
        """The text of a value; empty where the format hides it."""
        if self._single is not None and type(value) in (int, float):
            return self._single.show(value, magnitude=False).strip()  # type: ignore[arg-type]
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        if isinstance(value, str):
            return value if self.shows_text_as_it_is else self._text.fill_in(value)  # type: ignore[union-attr]
        if not self._numbers:
            return general(serial_of(value, epoch))
        if isinstance(value, (int, float)):
            if value - value != 0:
                return str(value)
            number = value
        elif len(self._numbers) == 1 and self._numbers[0].moment is not None:
            return self._numbers[0].moment.show(value, epoch)
        else:
            number = serial_of(value, epoch)
        place = self._place(number)
        section = self._numbers[place]
        if section.is_general and not isinstance(value, (int, float)):
            return _ISO_MOMENT.show(value, epoch)
        if section.moment is not None:
            if isinstance(value, (int, float)) and moment_of(number, epoch) is None:
                return general(number)
            return section.moment.show(value, epoch)
        return section.show(number, magnitude=self._magnitude[place]).strip()

    def _place(self, number: int | float) -> int:
        """Which section shows a number: by conditions where there are any, else by its sign."""
        numbers = self._numbers
        last = len(numbers) - 1
        if not self._conditional:
            if number < 0:
                return min(1, last)
            return 2 if number == 0 and last >= 2 else 0
        for place, section in enumerate(numbers[:2]):
            condition = section.condition
            if condition is None:
                # Without a condition of its own, the first section is for positive numbers, or for all
                # others where there are two; the second is for what is left.
                if (place == 1 and (last == 1 or number < 0)) or (place == 0 and number > 0):
                    return place
            elif _COMPARE[condition[0]](number, condition[1]):
                return place
        return last


def _shows_magnitude(place: int, section: _Section, count: int, first: _Condition | None) -> bool:
    """Whether a section shows negative numbers without their sign, because it says itself that they are.

    It does where only negative numbers reach it.
    """
    if section.condition is not None:
        sign, limit = section.condition
        return (sign in ("<", "<=", "=") and limit < 0) or (sign == "<" and limit == 0)
    if place != 1:
        return False
    return first is None or (first[0] in (">", ">=") and first[1] <= 0 and count == 2)


def _split(code: str) -> list[list[Token]]:
    sections: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup or "literal"
        if kind == "section":
            sections.append([])
        elif kind == "locale":
            if match["currency"]:
                sections[-1].append(Token("currency", match["currency"]))
            sections[-1].append(Token("locale", match["locale"]))
        else:
            sections[-1].append(Token(kind, match[kind]))
    return sections[:4]


class _Section:
    """One section of a format: what stands around the digits, and how many of them are shown."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.condition = next((_condition(text) for kind, text in tokens if kind == "condition"), None)
        kinds = {kind for kind, _ in tokens}
        self.is_text = ("sign", "@") in tokens
        self.moment = MomentFormat(tokens) if kinds & {"date", "elapsed", "half_day"} else None
        self.is_general = "general" in kinds
        shown = [Token(kind, _literal(kind, text)) for kind, text in tokens if kind not in _IGNORED]
        self._tokens = shown
        self.is_plain_text = self.is_text and len(shown) == 1
        if self.moment is None and not self.is_general and not self.is_text:
            self._compile(shown)

    def show(self, number: int | float, *, magnitude: bool) -> str:
        """A finite number; `magnitude` leaves out the sign of a negative one."""
        sign = "-" if number < 0 and not magnitude else ""
        size = abs(number)
        if size - size != 0:
            return str(number)
        if self.is_general:
            return sign + self.fill_in(general(size))
        if not self._has_digits:
            return sign + "".join(text for _, text in self._tokens)
        value = Decimal(size) if isinstance(size, int) else Decimal(f"{size:.15g}")
        if self._scale:
            value = value.scaleb(self._scale)
        if self._fraction is not None and size < _MAX_FRACTION_SIZE:
            return self._fraction.show(value, sign)
        if self._exponent is not None:
            return sign + self._scientific(value)
        rounded = value.quantize(self._quantum, context=_ROUNDING)
        text = self._plain(rounded) if self._simple is None else self._simple.format(rounded)
        return sign + text if sign and rounded else text

    def fill_in(self, text: str) -> str:
        """The section with `text` where it says General or ``@``."""
        return "".join(
            text if kind == "general" or (kind == "sign" and one == "@") else one
            for kind, one in self._tokens
        )

    def _compile(self, tokens: list[Token]) -> None:
        places = [n for n, (kind, _) in enumerate(tokens) if kind == "digit"]
        self._has_digits = bool(places)
        self._fraction: _Fraction | None = None
        self._exponent: tuple[str, int] | None = None
        self._tail, self._scale = "", 0
        if not places:
            return
        percents = sum(one == ("sign", "%") for one in tokens)
        slash = next((n for n, one in enumerate(tokens) if one == ("sign", "/") and places[0] < n), None)
        if slash is not None and tokens[slash - 1].kind == "digit" and _Fraction.fits(tokens, slash):
            self._scale = 2 * percents
            self._fraction = _Fraction(tokens, slash)
            return
        exponent = next((n for n, (kind, _) in enumerate(tokens) if kind == "exponent"), None)
        if exponent is not None:
            end = exponent + 1
            while end < len(tokens) and tokens[end].kind == "digit":
                end += 1
            self._exponent = (tokens[exponent].text[1], end - exponent - 1)
            self._tail = "".join(text for _, text in tokens[end:])
            tokens = tokens[:exponent]
            places = [place for place in places if place < exponent]
        point = next((n for n, one in enumerate(tokens) if one == ("sign", ".")), None)
        commas = {n for n, one in enumerate(tokens) if one == ("sign", ",")}
        whole_places = [place for place in places if point is None or place < point]
        scaling = {comma for comma in commas if comma > places[-1] or _ends_whole(tokens, comma, point)}
        self._thousands = any(
            whole_places and whole_places[0] < comma < whole_places[-1] for comma in commas - scaling
        )
        self._scale = 2 * percents - 3 * len(scaling)
        kept = [(n, one) for n, one in enumerate(tokens) if n not in commas]
        before = [one for n, one in kept if point is None or n < point]
        self._decimals = [] if point is None else [one for n, one in kept if n > point]
        if not whole_places:
            before.append(Token("digit", "#"))
        self._before = before
        self._whole_count = max(1, len(whole_places))
        self._first_place = next(n for n, (kind, _) in enumerate(before) if kind == "digit")
        self._decimal_count = min(sum(kind == "digit" for kind, _ in self._decimals), _MAX_DECIMALS)
        self._quantum = Decimal(1).scaleb(-self._decimal_count)
        self._simple = self._as_template()

    def _as_template(self) -> str | None:
        """The section as a template of `str.format`, where digits and zeros stand together; else None."""
        before, behind = ("".join(_shape(one) for one in part) for part in (self._before, self._decimals))
        match = _SIMPLE.fullmatch(f"{before}.{behind}")
        if match is None:
            return None
        first, last = self._first_place, self._first_place + len(match[2])
        prefix = "".join(text for _, text in self._before[:first])
        suffix = "".join(text for _, text in (*self._before[last:], *self._decimals[self._decimal_count :]))
        grouped = "," if self._thousands else ""
        prefix, suffix = (text.replace("{", "{{").replace("}", "}}") for text in (prefix, suffix))
        return f"{prefix}{{:{grouped}f}}{suffix}"

    def _plain(self, rounded: Decimal) -> str:
        """A size without exponent: digits into their places, from the point outwards."""
        digits, _, decimals = f"{rounded:f}".partition(".")
        behind = self._behind_point(decimals)
        return self._whole(digits.lstrip("0")) + (f".{behind}" if behind[:1].isdigit() else behind)

    def _whole(self, digits: str) -> str:
        shown: list[str] = []
        count = 0
        left = len(digits)
        for place in range(len(self._before) - 1, -1, -1):
            kind, text = self._before[place]
            if kind != "digit":
                shown.append(text)
                continue
            while True:
                if left:
                    left -= 1
                    one = digits[left]
                else:
                    one = "" if text == "#" else " " if text == "?" else "0"
                if one:
                    if self._thousands and count and count % 3 == 0:
                        shown.append("," if one != " " else " ")
                    count += 1
                    shown.append(one)
                if place != self._first_place or not left:
                    break
        return "".join(reversed(shown))

    def _behind_point(self, decimals: str) -> str:
        if not self._decimals:
            return ""
        significant = len(decimals.rstrip("0"))
        shown: list[str] = []
        place = 0
        for kind, text in self._decimals:
            if kind != "digit":
                shown.append(text)
                continue
            if place < significant or text == "0":
                shown.append(decimals[place] if place < len(decimals) else "0")
            elif text == "?":
                shown.append(" ")
            place += 1
        return "".join(shown)

    def _scientific(self, value: Decimal) -> str:
        sign, width = self._exponent  # type: ignore[misc]
        step = self._whole_count
        exponent = value.adjusted() // step * step if value else 0
        mantissa = value.scaleb(-exponent).quantize(self._quantum, context=_ROUNDING)
        if mantissa >= Decimal(10) ** step:
            exponent += step
            mantissa = value.scaleb(-exponent).quantize(self._quantum, context=_ROUNDING)
        shown = "-" if exponent < 0 else "+" if sign == "+" else ""
        return f"{self._plain(mantissa)}E{shown}{abs(exponent):0{width}d}{self._tail}"


class _Fraction:
    """A section such as ``# ?/?``: a whole number, and the nearest fraction with so many digits below."""

    def __init__(self, tokens: list[Token], slash: int) -> None:
        start = slash
        while start and tokens[start - 1].kind == "digit":
            start -= 1
        end = slash + 1
        while end < len(tokens) and _is_denominator(tokens[end]):
            end += 1
        below = "".join(text for _, text in tokens[slash + 1 : end])
        self._denominator = int(below) if below.isdigit() and int(below) else None
        self._limit = 10 ** min(len(below), 7) - 1
        before = tokens[:start]
        self._is_mixed = any(kind == "digit" for kind, _ in before)
        self._shows_zero = Token("digit", "0") in before
        first = next((n for n, (kind, _) in enumerate(before) if kind == "digit"), len(before))
        self._prefix = "".join(text for _, text in before[:first])
        self._gap = "".join(text for kind, text in before[first:] if kind != "digit")
        self._suffix = "".join(text for _, text in tokens[end:])

    @staticmethod
    def fits(tokens: list[Token], slash: int) -> bool:
        return slash + 1 < len(tokens) and _is_denominator(tokens[slash + 1])

    def show(self, value: Decimal, sign: str) -> str:
        whole, rest = divmod(Fraction(value), 1) if self._is_mixed else (0, Fraction(value))
        if self._denominator:
            below = self._denominator
            above = int(rest * below + Fraction(1, 2))
        else:
            nearest = rest.limit_denominator(self._limit)
            above, below = nearest.numerator, nearest.denominator
        if self._is_mixed and above == below:
            whole, above = whole + 1, 0
        if self._is_mixed and not above:
            shown = str(whole)
        elif whole or self._shows_zero:
            shown = f"{whole}{self._gap or ' '}{above}/{below}"
        else:
            shown = f"{above}/{below}"
        return (sign if whole or above else "") + self._prefix + shown + self._suffix


def _shape(token: Token) -> str:
    """A token as one character: a placeholder is itself, anything else a letter."""
    return token.text if token.kind == "digit" else "x"


def _is_denominator(token: Token) -> bool:
    return token.kind == "digit" or (token.kind == "literal" and token.text.isdecimal())


def _ends_whole(tokens: Sequence[Token], comma: int, point: int | None) -> bool:
    """Whether a comma stands, perhaps with others, directly before the point."""
    return point is not None and comma < point and all(one == ("sign", ",") for one in tokens[comma:point])


def _condition(text: str) -> _Condition | None:
    match = _CONDITION.fullmatch(text)
    try:
        return (match[1], float(match[2])) if match and match[1] in _COMPARE else None
    except ValueError:
        return None


def _literal(kind: str, text: str) -> str:
    return " " if kind == "pad" else text


_ISO_MOMENT = MomentFormat([Token("date", part) for part in ("yyyy", "mm", "dd", "h", "mm", "ss")])
