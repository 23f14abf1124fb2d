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

from rag_pipelines.privacy.shapes import (
    CARD,
    EMAIL,
    IBAN,
    NETWORK,
    PHONE,
    SOCIAL,
    network_address,
    passes_luhn,
    passes_mod_97,
)

LONGEST_NUMBER = 8
"""Runs of more digits are somebody's number of something."""

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


def _card(match: re.Match[str]) -> bool:
    return passes_luhn(match[0])


def _account(match: re.Match[str]) -> bool:
    return passes_mod_97(match[0])


def _network(match: re.Match[str]) -> bool:
    return network_address(match[0]) is not None


def _phone(match: re.Match[str]) -> bool:
    """Seven to fifteen digits (ITU-T E.164), the extension aside."""
    return 7 <= sum(sign.isdigit() for sign in match["number"]) <= 15


_RULES: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], bool]], ...] = (
    (EMAIL, "EMAIL", _any),
    (IBAN, "ACCOUNT", _account),
    (CARD, "CARD", _card),
    (NETWORK, "ADDRESS", _network),
    (SOCIAL, "NUMBER", _any),
    (PHONE, "PHONE", _phone),
    (_LONG, "NUMBER", _any),
)
