"""The kinds of personal data and secrets that are told apart, and what a finding of one is.

What belongs here: these values. What does not: how they are found (`patterns`, `presidio`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a finding is of. PERSON and LOCATION are found by a model only."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    IP_ADDRESS = "ip_address"
    US_SSN = "us_ssn"
    UK_NINO = "uk_nino"
    DE_TAX_ID = "de_tax_id"
    FR_NIR = "fr_nir"
    ES_DNI = "es_dni"
    IT_FISCAL_CODE = "it_fiscal_code"
    NL_BSN = "nl_bsn"
    PL_PESEL = "pl_pesel"
    SE_PERSONNUMMER = "se_personnummer"
    IN_AADHAAR = "in_aadhaar"
    BR_CPF = "br_cpf"
    CH_AHV = "ch_ahv"
    PRIVATE_KEY = "private_key"
    CLOUD_KEY = "cloud_key"
    TOKEN = "token"
    PASSWORD = "password"
    PERSON = "person"
    LOCATION = "location"

    @property
    def mask(self) -> str:
        """What stands in its place: ``[EMAIL]``."""
        return f"[{self.name}]"


NAMES = frozenset({Kind.PERSON, Kind.LOCATION})
"""Kinds that have no form, so that only a model tells them from other words."""


class Finding(NamedTuple):
    """A place in a text that holds personal data or a secret; never the value. `score` is from 0 to 1."""

    kind: Kind
    start: int
    end: int
    score: float
