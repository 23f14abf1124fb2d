"""Personal data and secrets are found by their form, their check digits, and the words beside them."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import UsageError
from rag_pipelines.privacy.find import finder_of
from rag_pipelines.privacy.kinds import Kind
from rag_pipelines.privacy.profile import PrivacyProfile

DEFAULT = PrivacyProfile()


def found(text: str, profile: PrivacyProfile = DEFAULT) -> list[tuple[str, str]]:
    """Kinds and values."""
    return [(str(one.kind), text[one.start : one.end]) for one in finder_of(profile).find(text)]


HELD = [
    ("card", "Paid with 4539 9889 1572 0591 yesterday", "4539 9889 1572 0591"),
    ("card", "amex 3782-822463-10005", "3782-822463-10005"),
    ("iban", "to DE89 3704 0044 0532 0130 00 PLEASE", "DE89 3704 0044 0532 0130 00"),
    ("iban", "an gb82west12345698765432.", "gb82west12345698765432"),
    ("email", "ask ann.o'hara@mail.co.uk, please", "ann.o'hara@mail.co.uk"),
    ("email", "an müller@bücher.example", "müller@bücher.example"),
    ("phone", "+49 30 901820-1-Office", "+49 30 901820-1"),
    ("phone", "call me on 21 212 133 2727", "21 212 133 2727"),
    ("ip_address", "from 98.85.59.159 again", "98.85.59.159"),
    ("ip_address", "from 2a00:1450:4001:82a::200e again", "2a00:1450:4001:82a::200e"),
    ("us_ssn", "531-21-7351", "531-21-7351"),
    ("us_ssn", "his SSN 531217351 is", "531217351"),
    ("uk_nino", "AB 12 34 56 C", "AB 12 34 56 C"),
    ("de_tax_id", "Steuer-ID: 36 574 261 809", "36 574 261 809"),
    ("fr_nir", "2 95 10 99 126 111 93", "2 95 10 99 126 111 93"),
    ("es_dni", "DNI 54362315K", "54362315K"),
    ("es_dni", "X-2482300W", "X-2482300W"),
    ("it_fiscal_code", "RCCMNL83S18D969H", "RCCMNL83S18D969H"),
    ("nl_bsn", "BSN 111222333", "111222333"),
    ("pl_pesel", "PESEL 44051401359", "44051401359"),
    ("se_personnummer", "880320-0016", "880320-0016"),
    ("in_aadhaar", "2341 2341 2346", "2341 2341 2346"),
    ("br_cpf", "390.533.447-05", "390.533.447-05"),
    ("ch_ahv", "756.9217.0769.85", "756.9217.0769.85"),
    ("cloud_key", "key AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
    ("token", "token ghp_" + "a1B2c3D4" * 5, "ghp_" + "a1B2c3D4" * 5),
    ("token", "xoxb-123456789012-abcdEFGH1234", "xoxb-123456789012-abcdEFGH1234"),
    (
        "token",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ),
    ("password", 'password = "Sunny-Harbour7"', "Sunny-Harbour7"),
    ("password", "postgres://app:s3cretpw@db/rag", "s3cretpw"),
]


@pytest.mark.parametrize(("kind", "text", "value"), HELD)
def test_each_kind_is_found_where_it_stands(kind: str, text: str, value: str):
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "4539 9889 1572 0592",
        "0000 0000 0000 0000",
        "DE88 3704 0044 0532 0130 00",
        "order 9123456789012345",
        "912-45-6789 and 666-45-6789",
        "BG 12 34 56 C",
        "2341 2341 2341",
        "111222333",
        "390.533.447-06",
        "version 4.2.1.3 and 10.0.0.1 and 127.0.0.1",
        "std::vector and a::b and 12:30:45",
        "on 2024-01-11, 12.11.2024 and in 2020-2024, 1 234 567 times",
        "password: required, api_key=${API_KEY}, secret: <yours>",
        "eyJub3QiOiJhIGp3dCJ9xx.abc.def",
        "ISBN 978-3-16-148410-0 on page 1234567",
    ],
)
def test_numbers_and_words_of_other_kinds_are_left(text: str):
    assert found(text) == []


def test_a_private_key_is_found_in_whole_with_its_headers():
    key = (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIE\n"
        "-----END RSA PRIVATE KEY-----"
    )

    assert found(f"before\n{key}\nafter") == [("private_key", key)]
    assert found("-----BEGIN PRIVATE KEY-----\nMIIEabc+/=\nQQ==") == [
        ("private_key", "-----BEGIN PRIVATE KEY-----\nMIIEabc+/=\nQQ==")
    ]


def test_a_number_named_once_is_found_wherever_it_stands():
    text = "BSN 111222333 was given." + " and so on" * 20 + " Then 111222333 was asked."

    assert found(text) == [("nl_bsn", "111222333")] * 2


def test_a_threshold_of_a_kind_decides_which_places_count():
    low = PrivacyProfile(thresholds={Kind.NL_BSN: 0.2})
    high = PrivacyProfile(thresholds={Kind.NL_BSN: 0.95})

    assert found("111222333", low) == [("nl_bsn", "111222333")]
    assert found("BSN 111222333", high) == []


def test_only_kinds_of_the_profile_are_found():
    assert found("ann@acme.org 531-21-7351", PrivacyProfile(kinds=(Kind.EMAIL,))) == [
        ("email", "ann@acme.org")
    ]


def test_places_that_overlap_are_one_of_the_surest_kind_over_all_of_it():
    assert found("https://ann:Hidden-Pass7@acme.org/x") == [("email", "Hidden-Pass7@acme.org")]
    assert found("password=4539988915720591,Ab") == [("card", "4539988915720591")]


@given(st.text() | st.text(alphabet="0123456789 -+.@:eyJDE/=()[]", max_size=300))
def test_places_lie_in_the_text_in_order_and_apart(text: str):
    places = finder_of(DEFAULT).find(text)

    assert all(0 <= one.start < one.end <= len(text) for one in places)
    assert all(one.end <= after.start for one, after in itertools.pairwise(places))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was asked of the network; everything is refused."""
    asked: list[object] = []

    def refuse(*arguments: object, **named: object) -> None:
        asked.append(arguments)
        raise OSError("the network is closed to this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def test_presidio_finds_its_forms_and_asks_nothing_of_the_network(no_network: list[object]):
    pytest.importorskip("presidio_analyzer")
    profile = PrivacyProfile(engine="presidio", kinds=(Kind.CARD, Kind.EMAIL, Kind.IBAN, Kind.IP_ADDRESS))

    held = found("4539988915720591 of ann@acme.org, see https://acme.org or DE89370400440532013000", profile)

    assert held == [
        ("card", "4539988915720591"),
        ("email", "ann@acme.org"),
        ("iban", "DE89370400440532013000"),
    ]
    assert no_network == []


def test_names_are_found_by_the_model_that_is_configured(tmp_path: Path):
    pytest.importorskip("presidio_analyzer")
    import spacy

    model = spacy.blank("en")
    ruler = model.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "PERSON", "pattern": "Anna Schmidt"}, {"label": "GPE", "pattern": "Berlin"}]
    )
    model.to_disk(tmp_path / "model")
    profile = PrivacyProfile(
        engine="presidio", model=str(tmp_path / "model"), kinds=(Kind.PERSON, Kind.LOCATION)
    )

    assert found("Anna Schmidt lives in Berlin.", profile) == [
        ("person", "Anna Schmidt"),
        ("location", "Berlin"),
    ]


def test_a_model_that_is_not_there_is_said_and_not_downloaded(no_network: list[object]):
    pytest.importorskip("presidio_analyzer")
    profile = PrivacyProfile(engine="presidio", model="en_core_web_none", kinds=(Kind.PERSON,))

    with pytest.raises(UsageError, match=r"'en_core_web_none' .* nothing is downloaded"):
        found("Anna", profile)
    assert no_network == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"kinds": ()}, "at least one"),
        ({"threshold": 0.0}, "above 0 and up to 1, where 0 was received"),
        ({"kinds": (Kind.CARD,), "thresholds": {Kind.IBAN: 0.3}}, "iban is not among 'kinds'"),
        ({"mode": "restrict"}, "'readers' with mode restrict"),
        ({"readers": ("group:a",)}, "'readers' with mode restrict"),
        ({"model": "x"}, "'model' with engine presidio only"),
        ({"kinds": (Kind.PERSON,)}, "the kind person with engine presidio and a spaCy 'model' only"),
        ({"phone_regions": ("Germany",)}, "'Germany' was received"),
    ],
)
def test_a_profile_whose_parts_do_not_fit_is_refused(parameters: dict, words: str):
    with pytest.raises(ValueError, match=words):
        PrivacyProfile(**parameters)
