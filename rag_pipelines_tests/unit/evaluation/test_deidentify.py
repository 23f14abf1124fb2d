"""What leaves a query log, and what people search for and must stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.evaluation.deidentify import deidentify


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("ask ann.b+c@ex-ample.co.uk about it", "ask [EMAIL] about it"),
        ("call 020 7946 0018 now", "call [PHONE] now"),
        ("call +1-944-435-4352x04732", "call [PHONE]"),
        ("(212) 555-0188 or 600 123 456", "[PHONE] or [PHONE]"),
        ("card 4111 1111 1111 1111 refused", "card [CARD] refused"),
        ("transfer to DE89 3704 0044 0532 0130 00", "transfer to [ACCOUNT]"),
        ("ssn 536-90-4399", "ssn [NUMBER]"),
        ("ping 10.0.0.1", "ping [ADDRESS]"),
        ("who is 4571982301557", "who is [PHONE]"),
        ("since 2026-03-14 0207946001", "since 2026-03-14 [PHONE]"),
    ],
)
def test_what_identifies_people_is_replaced_by_its_kind(text: str, left: str) -> None:
    assert deidentify(text) == left
    assert deidentify(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "error E-4417 on FS-220-B", "CVE-2024-12345", "price list 2026", "2019-2020 budget", "version 1.24.3",
        "outage of 2026-03-14 12:30:45", "14.03.2026", "1 000 000 units", "port 8080", "0x71B204", "HB-88164",
        "what does § 12 (3) say", "page 12 of 100",
    ],
)  # fmt: skip
def test_what_people_search_for_stays(text: str) -> None:
    assert deidentify(text) == text


@given(st.text(alphabet="0123456789 -.+()@:/xaDE\n", max_size=60))
def test_any_text_is_done_with_after_one_pass_and_keeps_no_long_number(text: str) -> None:
    left = deidentify(text)
    assert not any(len(part) > 8 for part in "".join(c if c.isdigit() else " " for c in left).split())


def test_forms_with_rules_are_found_in_labelled_sentences(data_set: Callable[[str], Path]) -> None:
    kinds = {"PHONE_NUMBER", "CREDIT_CARD", "EMAIL_ADDRESS", "US_SSN", "IP_ADDRESS", "IBAN_CODE"}
    rows = json.loads((data_set("presidio-pii") / "generated_small.json").read_text())
    missed = [
        span["entity_value"]
        for row in rows
        for span in row["spans"]
        if span["entity_type"] in kinds and span["entity_value"] in deidentify(row["full_text"])
    ]
    assert missed == []
