"""Forms of personal data that are told by their characters and check digits, without a library.

What belongs here: patterns that several readers of text share. What does not: how sure a match is
(`patterns`).

Every quantity is bounded, so that no text takes more than its length times a constant.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

_DATE = r"(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:\d\d|(?:19|20)\d\d)"
_YEARS = r"(?:19|20)\d\d\s?[-/]\s?(?:(?:19|20)\d\d|\d\d)"
_THOUSANDS = r"[1-9]\d?(?:[ \u00a0.]\d{3})+"

EMAIL = re.compile(r"(?<![\w.+%'-])[\w.+%'-]{1,256}@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
NETWORK = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:])"
)
SOCIAL = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
PHONE = re.compile(
    rf"(?<![\w.,/-])(?!(?:{_DATE}|{_YEARS}|{_THOUSANDS}(?! \d))(?!\d))"
    r"(?P<number>(?:\+|00)?\(?\d{1,4}\)?(?:[ \u00a0.\-/]{0,2}\(?\d{1,5}\)?){1,6})"
    r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w-])",
    re.IGNORECASE,
)


def passes_luhn(text: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1)."""
    digits = [int(digit) for digit in reversed(text) if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def passes_mod_97(text: str) -> bool:
    """Whether the check digits of an account number are right (ISO 13616)."""
    compact = text.replace(" ", "").upper()
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def network_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that `text` is, if it is one."""
    try:
        return ip_address(text)
    except ValueError:
        return None
