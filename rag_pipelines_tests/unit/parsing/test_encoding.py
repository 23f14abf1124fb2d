"""Text in whatever encoding, without replacement characters of our own making."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.encoding import code_page, decode, safe_codec

SENTENCES = {
    "cp1252": [
        "Größe und Maße für Äpfel",
        "Le café est déjà fermé à Noël – 15,50 €",
        "El niño comió “jamón”",
    ],
    "cp1250": ["Zażółć gęślą jaźń, proszę państwa. Wczoraj poszedłem do sklepu, żeby kupić świeży chleb."],
    "cp1251": ["Привет, это обычный русский текст о погоде и природе. Он достаточно длинный."],
    "shift_jis": ["これは日本語の文章です。エンコーディングの判定を確認します。"],
    "euc_jp": ["これは日本語の文章です。エンコーディングの判定を確認します。"],
    "gb18030": ["这是一个中文文本,用于测试编码检测。今天天气很好。"],
    "euc_kr": ["한국어 문장입니다. 인코딩을 확인합니다."],
}
CASES = [(encoding, sentence) for encoding, sentences in SENTENCES.items() for sentence in sentences]


@pytest.mark.parametrize(("encoding", "sentence"), CASES)
def test_a_legacy_encoding_is_recognised_without_a_declaration(encoding, sentence):
    assert decode(sentence.encode(encoding)) == sentence


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_unicode_is_recognised_with_and_without_a_mark(encoding):
    text = "Plain words, größer – and some more of them."
    assert decode(text.encode(encoding)) == text


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\ufeff")))
def test_utf8_is_read_as_it_stands(text):
    assert decode(text.encode()) == text


def test_stray_windows_quotes_in_utf8_do_not_spoil_the_rest():
    data = "Schöne Grüße, naïve – ".encode() + b"\x93quoted\x94"
    assert decode(data) == "Schöne Grüße, naïve – “quoted”"


def test_a_declared_encoding_is_followed_unless_the_bytes_are_utf8():
    assert decode("Ελληνικά".encode("cp1253"), "windows-1253") == "Ελληνικά"
    assert decode("für".encode(), "iso-8859-1") == "für"
    assert decode("€5".encode("cp1252"), "ISO-8859-1") == "€5"


@pytest.mark.parametrize("name", ["utf-7", "rot13", "zlib", "unicode_escape", "no-such", "", None, "utf-16"])
def test_codecs_that_hide_text_are_not_followed(name):
    assert safe_codec(name) is None


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "shift_jis", "nonsense", "\0"]))
def test_any_bytes_decode(data, declared):
    assert isinstance(decode(data, declared), str)


STATEMENT = "CUSTOMER STATEMENT\nAccount 4711, balance 1,200.00 USD (of 2 accounts)\n" * 3


@pytest.mark.parametrize("codec", ["cp037", "cp500", "cp1140"])
def test_text_of_a_mainframe_is_recognised(codec):
    assert decode(STATEMENT.encode(codec)) == STATEMENT
    assert decode(STATEMENT.encode(codec).replace(b"\x25", b"\x15")) == STATEMENT


def test_german_text_of_a_mainframe_has_its_letters():
    german = "Kontoauszug für Frau Müller: Größe der Anlage und Höhe der Beiträge\n" * 3
    assert decode(german.encode("cp273")) == german


def test_records_of_fixed_length_are_lines():
    lines = [f"{4700 + number} CUSTOMER {number:<4} BONN" for number in range(20)]
    records = "".join(line.ljust(80) for line in lines)
    assert decode(records.encode("cp037")) == "\n".join(lines)


def test_signs_for_the_printer_are_blank_lines_and_pages():
    lines = ["1LIST OF BALANCES", "0ACCOUNT   BALANCE", " 4711       1200.00", " 4712        900.00"]
    records = "".join(line.ljust(133) for line in lines)
    expected = "\fLIST OF BALANCES\n\nACCOUNT   BALANCE\n4711       1200.00\n4712        900.00"
    assert decode(records.encode("cp037")) == expected


@pytest.mark.parametrize("text", ["@" * 50, "@a@b@c" * 20, "user@host.example\n" * 30, "@@@ -1 +1 @@@"])
def test_text_with_many_at_signs_is_no_text_of_a_mainframe(text):
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(950, "\u9019\u662f\u4e2d\u6587"), (936, "\u8fd9\u662f\u4e2d\u6587"), (932, "\u65e5\u672c\u2460"),
     (949, "\ud55c\uad6d\ub620"), (874, "\u0e44\u0e17\u0e22"), (10007, "\u041f\u0440\u0438"),
     (28592, "\u0141\u00f3d\u017a"), (65001, "\u20ac")],
)  # fmt: skip
def test_code_pages_of_windows_are_known_by_their_numbers(number, sentence):
    codec = code_page(number)
    assert codec is not None
    assert sentence.encode(codec).decode(codec) == sentence


def test_a_code_page_without_a_codec_is_not_known():
    assert code_page(20001) is None
