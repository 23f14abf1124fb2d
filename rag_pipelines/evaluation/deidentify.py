"""Takes personal data that has a fixed form out of the text of questions.

What belongs here: what rules can find: e-mail addresses, phone numbers, card and bank account numbers,
network addresses, long numbers. What does not: names and postal addresses, which need a model; a log that
holds such must be read by a person before it is kept.

What is found is replaced by its kind in brackets, so that the question keeps its shape: ``call [PHONE]``.
Identifiers that people search for (error codes, part numbers, years, versions) stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

LONGEST_NUMBER = 8
"""Runs of more digits are somebody's number of something."""

_DATE = r"(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:\d\d|(?:19|20)\d\d)"
_YEARS = r"(?:19|20)\d\d\s?[-/]\s?(?:(?:19|20)\d\d|\d\d)"
_THOUSANDS = r"[1-9]\d?(?:[ \u00a0.]\d{3})+"

_EMAIL = re.compile(r"[\w.+%'-]+@(?:[\w-]+\.)+[\w-]{2,}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:])"
)
_SOCIAL = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_PHONE = re.compile(
    rf"(?<![\w.,/-])(?!(?:{_DATE}|{_YEARS}|{_THOUSANDS})(?!\d))"
    r"(?P<number>(?:\+|00)?\(?\d{1,4}\)?(?:[ \u00a0.\-/]{0,2}\(?\d{1,5}\)?){1,6})"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-])",
    re.IGNORECASE,
)
_LONG = re.compile(rf"\d{{{LONGEST_NUMBER + 1},}}")


def deidentify(text: str) -> str:
    """The text with what was found replaced. Doing it again changes nothing."""
    for pattern, kind, holds in _RULES:
        text = pattern.sub(partial(_replace, kind, holds), text)
    return text


def _replace(kind: str, holds: Callable[[re.Match[str]], bool], match: re.Match[str]) -> str:
    return f"[{kind}]" if holds(match) else match[0]


def _any(match: re.Match[str]) -> bool:
    return True


def _luhn(match: re.Match[str]) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in reversed(match[0]) if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _iban(match: re.Match[str]) -> bool:
    """Whether the check digits of an account number are right (ISO 13616)."""
    compact = match[0].replace(" ", "")
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def _network(match: re.Match[str]) -> bool:
    try:
        ip_address(match[0])
    except ValueError:
        return False
    return True


def _phone(match: re.Match[str]) -> bool:
    """Seven to fifteen digits (ITU-T E.164), the extension aside."""
    return 7 <= sum(sign.isdigit() for sign in match["number"]) <= 15


_RULES: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], bool]], ...] = (
    (_EMAIL, "EMAIL", _any),
    (_IBAN, "ACCOUNT", _iban),
    (_CARD, "CARD", _luhn),
    (_ADDRESS, "ADDRESS", _network),
    (_SOCIAL, "NUMBER", _any),
    (_PHONE, "PHONE", _phone),
    (_LONG, "NUMBER", _any),
)
