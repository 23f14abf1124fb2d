"""Numbers of list items and headings in the numerals that office programs count in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.office import numerals
from rag_pipelines.parsing.office.numerals import numeral


@pytest.mark.parametrize(
    ("style", "numbers", "written"),
    [
        ("decimal", (1, 12), ["1", "12"]),
        ("decimalZero", (7, 12, 105), ["07", "12", "105"]),
        ("lowerLetter", (1, 26, 27, 28, 53), ["a", "z", "aa", "bb", "aaa"]),
        ("upperRoman", (4, 1994, 4000), ["IV", "MCMXCIV", "4000"]),
        ("ordinal", (1, 2, 3, 4, 11, 12, 21, 113, 122),
         ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "113th", "122nd"]),
        ("cardinalText", (1, 13, 21, 40, 342, 1001),
         ["One", "Thirteen", "Twenty-one", "Forty", "Three hundred forty-two", "One thousand one"]),
        ("ordinalText", (1, 2, 12, 20, 21, 100),
         ["First", "Second", "Twelfth", "Twentieth", "Twenty-first", "One hundredth"]),
        ("russianUpper", (1, 3, 30), ["А", "В", "АА"]),
        ("hebrew1", (1, 15, 16, 27, 115, 300), ["א", "טו", "טז", "כז", "קטו", "ש"]),
        ("arabicAbjad", (1, 2, 3, 4), ["أ", "ب", "ج", "د"]),
        ("arabicAlpha", (1, 2, 3, 4), ["أ", "ب", "ت", "ث"]),
        ("thaiNumbers", (10, 25), ["๑๐", "๒๕"]),
        ("hindiNumbers", (10,), ["१०"]),
        ("decimalEnclosedCircle", (1, 20, 21), ["①", "⑳", "(21)"]),
        ("chineseCountingThousand", (1, 10, 11, 20, 105, 110, 1001),
         ["一", "十", "十一", "二十", "一百〇五", "一百一十", "一千〇一"]),
        ("japaneseCounting", (10, 100, 115, 1111, 20003), ["十", "百", "百十五", "千百十一", "二万三"]),
        ("chineseLegalSimplified", (10, 25), ["壹拾", "贰拾伍"]),
        ("koreanCounting", (10, 23), ["십", "이십삼"]),
        ("koreanLegal", (1, 11, 20), ["하나", "열하나", "스물"]),
        ("ganada", (1, 2), ["가", "나"]),
        ("ideographTraditional", (1, 11), ["甲", "甲"]),
        ("ideographZodiacTraditional", (1, 60), ["甲子", "癸亥"]),
        ("no such style", (3,), ["3"]),
    ],
)  # fmt: skip
def test_a_number_is_written_as_a_reader_sees_it(
    style: str, numbers: tuple[int, ...], written: list[str]
) -> None:
    assert [numeral(number, style) for number in numbers] == written


@given(st.integers(-5, 10**9), st.sampled_from(sorted(numerals._STYLES)))
def test_any_number_has_a_short_text_in_any_style(number: int, style: str) -> None:
    assert 0 < len(numeral(number, style)) < 100
