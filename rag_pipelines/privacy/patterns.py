"""What may be personal data or a secret, told by its form and its check digits, and how sure that is.

What belongs here: one entry a form. What does not: whether a score is enough (`find`), and masks.

A score is what the form alone says, from 0 to 1; `lifted` is what it says beside a word that names the kind
("IBAN", "Steuer-ID"). Digits with one check digit are right by chance one time in ten, so that without
such a word they do not count by default. Check digits of national numbers are those of python-stdnum.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException
from stdnum import iban
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import ssn

from rag_pipelines.privacy.kinds import Kind
from rag_pipelines.privacy.secret_shapes import (
    ASSIGNMENT,
    JWT,
    KEY_BEGINS,
    KEY_BODY,
    KEY_ENDS,
    LOGIN,
    LONGEST_KEY,
    VENDORS,
    is_jwt,
    looks_secret,
)
from rag_pipelines.privacy.shapes import EMAIL, NETWORK, PHONE, network_address, passes_luhn


class Candidate(NamedTuple):
    """A place in a text: what it may be, and how sure that is without and with a word that names it."""

    kind: Kind
    start: int
    end: int
    score: float
    lifted: float


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})", re.IGNORECASE)


CONTEXT: dict[Kind, re.Pattern[str]] = {
    Kind.PHONE: _words(
        "tel", "phone", "mobile?", "mob", "cell", "fax", "call", "ring", "dial", "desk", "office", "handy",
        "hotline", "whatsapp", "sms", "téléphone", "telefon", "móvil", "cellulare",
    ),
    Kind.CARD: _words(
        "card", "credit", "debit", "visa", "master ?card", "amex", "karte", "carte", "tarjeta", r"pan\b"
    ),
    Kind.IBAN: _words("iban", "account", "konto", "compte", "cuenta"),
    Kind.US_SSN: _words("ssn", "social security", "social insurance", r"soc\.? sec"),
    Kind.UK_NINO: _words(r"nino\b", "national insurance", "ni number", "ni no"),
    Kind.DE_TAX_ID: _words("steuer", "idnr", r"tin\b", "tax", "identifikationsnummer"),
    Kind.FR_NIR: _words(r"nir\b", "insee", "s[ée]curité sociale", "n° ?ss", "numéro de sécu"),
    Kind.ES_DNI: _words(r"dni\b", r"nie\b", r"nif\b", "documento nacional"),
    Kind.IT_FISCAL_CODE: _words("codice fiscale", r"c\.?f\.?\b", "fiscal code"),
    Kind.NL_BSN: _words(r"bsn\b", "burgerservice", "sofi", "citizen service"),
    Kind.PL_PESEL: _words("pesel"),
    Kind.SE_PERSONNUMMER: _words(
        "personnummer", "personnr", r"pnr\b", "personal identity number", "samordningsnummer"
    ),
    Kind.IN_AADHAAR: _words("aadhaar", "aadhar", "uidai", r"uid\b"),
    Kind.BR_CPF: _words(r"cpf\b", "cadastro de pessoas"),
    Kind.CH_AHV: _words("ahv", r"avs\b", "social security", "sozialversicherung"),
}  # fmt: skip
"""Words beside a number that say what it is."""


class _Number(NamedTuple):
    """A national number: its form, whether one is right, and scores."""

    kind: Kind
    form: re.Pattern[str]
    is_right: Callable[[str], bool]
    score: float
    lifted: float


def _form(pattern: str) -> re.Pattern[str]:
    """A number that is no part of a longer one, nor of a group of numbers."""
    return re.compile(rf"(?<![\w.,/-])(?<!\d\d )(?:{pattern})(?![\w/-]|[.,]\d| \d\d)")


_NINO = r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"

NUMBERS: Sequence[_Number] = (
    _Number(Kind.US_SSN, _form(r"\d{3}-\d{2}-\d{4}"), ssn.is_valid, 0.85, 0.95),
    _Number(Kind.US_SSN, _form(r"\d{3} \d{2} \d{4}"), ssn.is_valid, 0.4, 0.9),
    _Number(Kind.US_SSN, _form(r"\d{9}"), ssn.is_valid, 0.1, 0.8),
    _Number(Kind.UK_NINO, _form(_NINO), lambda text: True, 0.7, 0.95),
    _Number(Kind.DE_TAX_ID, _form(r"\d{2} ?\d{3} ?\d{3} ?\d{3}"), idnr.is_valid, 0.4, 0.95),
    _Number(Kind.FR_NIR, _form(r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}"), nir.is_valid, 0.9, 1.0),
    _Number(Kind.ES_DNI, _form(r"\d{8}[- ]?[A-Z]"), dni.is_valid, 0.45, 0.95),
    _Number(Kind.ES_DNI, _form(r"[XYZ][- ]?\d{7}[- ]?[A-Z]"), nie.is_valid, 0.8, 0.95),
    _Number(
        Kind.IT_FISCAL_CODE,
        _form(r"[A-Za-z]{6}[\dA-Za-z]{2}[A-Za-z][\dA-Za-z]{2}[A-Za-z][\dA-Za-z]{3}[A-Za-z]"),
        lambda text: any(map(str.isdigit, text)) and codicefiscale.is_valid(text),
        0.95,
        1.0,
    ),
    _Number(Kind.NL_BSN, _form(r"\d{4}\.?\d{2}\.?\d{3}"), bsn.is_valid, 0.2, 0.9),
    _Number(Kind.PL_PESEL, _form(r"\d{11}"), pesel.is_valid, 0.4, 0.95),
    _Number(Kind.SE_PERSONNUMMER, _form(r"(?:\d{2})?\d{6}[-+]\d{4}"), personnummer.is_valid, 0.8, 0.95),
    _Number(Kind.SE_PERSONNUMMER, _form(r"(?:\d{2})?\d{10}"), personnummer.is_valid, 0.3, 0.9),
    _Number(Kind.IN_AADHAAR, _form(r"\d{4} \d{4} \d{4}"), aadhaar.is_valid, 0.7, 0.95),
    _Number(Kind.IN_AADHAAR, _form(r"\d{12}"), aadhaar.is_valid, 0.3, 0.9),
    _Number(Kind.BR_CPF, _form(r"\d{3}\.\d{3}\.\d{3}-\d{2}"), cpf.is_valid, 0.95, 1.0),
    _Number(Kind.BR_CPF, _form(r"\d{11}"), cpf.is_valid, 0.4, 0.95),
    _Number(Kind.CH_AHV, _form(r"756\.?\d{4}\.?\d{4}\.?\d{2}"), ahv.is_valid, 0.9, 1.0),
)

_NO_NUMBER = re.compile(r"\d[\d .-]{4}")
"""Without this there is none of `NUMBERS` but the Italian, nor a card or phone number."""

_CARD = re.compile(r"(?<![\w.,/-])\d(?:[ -]?\d){11,18}(?![\w/-]|[.,]\d)")
_NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35\d{14}|62\d{14,17}|(?:5[06-8]|6[37])\d{10,17}"
)
"""Numbers as card networks give them out (ISO/IEC 7812), by their first digits and their length."""

_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 "
    "EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 "
    "IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 "
    "NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 "
    "SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30 "
)
_IBAN_LENGTHS = {one[:2]: int(one[2:]) for one in _COUNTRIES.split()}
"""Characters of an account number by country (registry of ISO 13616, as python-stdnum has it)."""

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_ACCOUNT_BEGINS = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){0,5} $")
_INTERNATIONAL = re.compile(r"(?<![\w+])(?P<number>\+\d{1,3}(?:[ \u00a0.\-/]{0,2}\(?\d{1,5}\)?){2,6})(?!\d)")
_VERSION = re.compile(r"(?:version|release|build|firmware|\bv)\W{0,2}$", re.IGNORECASE)
_GROUPS = re.compile(r"\d+")


def candidates(text: str, kinds: frozenset[Kind], regions: Sequence[str]) -> Iterator[Candidate]:
    """Everything in `text` that may be of one of `kinds`, overlapping each other, in no order."""
    if Kind.EMAIL in kinds and "@" in text:
        yield from (Candidate(Kind.EMAIL, *found.span(), 1.0, 1.0) for found in EMAIL.finditer(text))
    if Kind.IBAN in kinds:
        yield from _accounts(text)
    if Kind.IP_ADDRESS in kinds:
        yield from _addresses(text)
    numbered = _NO_NUMBER.search(text) is not None
    for number in NUMBERS:
        if number.kind in kinds and (numbered or number.kind is Kind.IT_FISCAL_CODE):
            yield from (
                Candidate(number.kind, *found.span(), number.score, number.lifted)
                for found in number.form.finditer(text)
                if number.is_right(found[0])
            )
    if Kind.CARD in kinds and numbered:
        yield from _cards(text)
    if Kind.PHONE in kinds and numbered:
        yield from _phones(text, regions)
    yield from (one for one in _secrets(text) if one.kind in kinds)


def _cards(text: str) -> Iterator[Candidate]:
    for found in _CARD.finditer(text):
        digits = found[0].replace(" ", "").replace("-", "")
        if passes_luhn(digits) and len(set(digits)) > 1 and not _ends_account(text, found.start()):
            sure = _NETWORKS.fullmatch(digits) is not None
            yield Candidate(Kind.CARD, *found.span(), 0.95 if sure else 0.3, 1.0 if sure else 0.7)


def _accounts(text: str) -> Iterator[Candidate]:
    """Account numbers; words that follow one are not part of it."""
    at = 0
    while found := _IBAN.search(text, at):
        start, at = found.start(), found.start() + 4
        ends = [place + 1 for place, sign in enumerate(found[0]) if sign not in " -"]
        length = _IBAN_LENGTHS.get(found[0][:2].upper(), 0)
        if 0 < length <= len(ends):
            end = start + ends[length - 1]
            if not text[end : end + 1].isalnum() and iban.is_valid(text[start:end], check_country=False):
                yield Candidate(Kind.IBAN, start, end, 1.0, 1.0)
                at = end


def _ends_account(text: str, start: int) -> bool:
    """Whether the groups before a place begin an account number, so that a group there is one of its own."""
    return _ACCOUNT_BEGINS.search(text, max(start - 30, 0), start) is not None


def _addresses(text: str) -> Iterator[Candidate]:
    """Addresses of the public network; those of private ones are nobody's."""
    for found in NETWORK.finditer(text):
        address = network_address(found[0])
        if address is None:
            continue
        public = address.is_global and (address.version == 4 or int(address) >> 125 == 1)
        version = _VERSION.search(text, max(found.start() - 12, 0), found.start())
        yield Candidate(Kind.IP_ADDRESS, *found.span(), 0.2 if version or not public else 0.8, 0.8)


def _phones(text: str, regions: Sequence[str]) -> Iterator[Candidate]:
    for found in (*PHONE.finditer(text), *_INTERNATIONAL.finditer(text)):
        digits = sum(sign.isdigit() for sign in found["number"])
        if 7 <= digits <= 15 and not _ends_account(text, found.start()):
            score = _phone_score(found["number"].strip(), digits, regions)
            yield Candidate(Kind.PHONE, *found.span(), score, min(score + 0.35, 1.0))


def _phone_score(number: str, digits: int, regions: Sequence[str]) -> float:
    """How sure it is that a number is of a phone: by numbering plans, then by how it is grouped."""
    if number.startswith(("+", "00")):
        if _is_phone("+" + number.lstrip("+0"), None):
            return 0.9
        return 0.6 if number.startswith("+") else 0.3
    groups = len(_GROUPS.findall(number))
    if 2 * groups > digits:
        return 0.1
    if groups == 1:
        return 0.3 if number.startswith("0") and any(_is_phone(number, one) for one in regions) else 0.1
    if any(_is_phone(number, region) for region in regions):
        return 0.65 if number.startswith(("0", "(")) or (groups == 3 and digits == 10) else 0.45
    return 0.4 if number.startswith(("0", "(")) else 0.2


def _is_phone(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except NumberParseException:
        return False


def _secrets(text: str) -> Iterator[Candidate]:
    at = 0
    while begins := KEY_BEGINS.search(text, at):
        ends = KEY_ENDS.search(text, begins.end(), begins.end() + LONGEST_KEY)
        body = KEY_BODY.match(text, begins.end())
        at = ends.end() if ends else body.end() if body else begins.end()
        yield Candidate(Kind.PRIVATE_KEY, begins.start(), at, 1.0, 1.0)
    for kind, piece, form in VENDORS:
        if piece in text:
            yield from (
                Candidate(kind, *found.span("value" if "value" in form.groupindex else 0), 0.95, 1.0)
                for found in form.finditer(text)
            )
    if "eyJ" in text:
        for found in JWT.finditer(text):
            if is_jwt(found[0]):
                yield Candidate(Kind.TOKEN, *found.span(), 0.95, 1.0)
    for form in (ASSIGNMENT, LOGIN):
        for found in form.finditer(text):
            if looks_secret(found["value"]) or form is LOGIN:
                yield Candidate(Kind.PASSWORD, *found.span("value"), 0.7, 0.9)
