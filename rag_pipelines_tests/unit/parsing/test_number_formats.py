"""Number formats: what a cell shows, by the language of ECMA-376 18.8.31."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.office.date_formats import EPOCH_1904
from rag_pipelines.parsing.office.number_formats import display

ACCOUNTING = '_(* #,##0.00_);_(* \\(#,##0.00\\);_(* "-"??_);_(@_)'
SCALED = '[>=1000000]0.0,,"M";[>=1000]0.0,"K";0'


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (0.1 + 0.2, "General", "0.3"),
        (3.0, "General", "3"),
        (12345678901, "General", "12345678901"),
        (1.5e300, "General", "1.5E+300"),
        (7, "00000", "00007"),
        (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
        (-1234.5, "#,##0.0", "-1,234.5"),
        (5, "0,000", "0,005"),
        (5, "0.##", "5"),
        (0.5, "#.##", ".5"),
        (1.25, "0.0##", "1.25"),
        (0, "#", ""),
        (12.5, ".00", "12.50"),
        (True, "0.00", "TRUE"),
        (None, "General", ""),
        ("text", "0.00", "text"),
        (float("nan"), "0.00", "nan"),
    ],
)
def test_digits_stand_where_the_placeholders_are(value: Any, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (2.5, "0", "3"),
        (-2.5, "0", "-3"),
        (0.125, "0.00", "0.13"),
        (1.005, "0.00", "1.01"),
        (0.125, "0%", "13%"),
        (99.95, "0.0", "100.0"),
        (-0.4, "0", "0"),
        (999_999.5, "#,##0", "1,000,000"),
    ],
)
def test_rounding_is_half_away_from_zero(value: float, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (7_654_321, '#,##0," K"', "7,654 K"),
        (7_654_321_000, '#,##0.0,,"M"', "7,654.3M"),
        (7_654_321, "0.00,,", "7.65"),
        (7_654_321, "#,##0,.0", "7,654.3"),
        (12, "#,##0,", "0"),
    ],
)
def test_a_comma_behind_the_last_digit_divides_by_a_thousand(
    value: int, number_format: str, shown: str
) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (2_000_000, SCALED, "2.0M"),
        (2_500, SCALED, "2.5K"),
        (25, SCALED, "25"),
        (-2_500, SCALED, "-2500"),
        (1, '[=1]0" day";0" days"', "1 day"),
        (3, '[=1]0" day";0" days"', "3 days"),
        (-5, '[<0]"minus "0;0', "minus 5"),
        (12, '[<=-10]"low";[<>12]0;"twelve"', "twelve"),
        (0, '0.0;(0.0);"none"', "none"),
        (-1, "0;", ""),
        (42, ";;;", ""),
        (0, ACCOUNTING, "-"),
        (-1234.5, ACCOUNTING, "(1,234.50)"),
    ],
)
def test_the_sign_or_a_condition_chooses_the_section(value: int, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (987654321, "000-00-0000", "987-65-4321"),
        (8005550100, "(000) 000-0000", "(800) 555-0100"),
        (54321, "# ##0", "54 321"),
        (4, '"Q"0', "Q4"),
        (4, '0" of 4"', "4 of 4"),
        (4, "0\\x", "4x"),
        (4, "0.0x", "4.0x"),
        (4, 'General" kg"', "4 kg"),
        (-4, '"up "General;"down "General', "down 4"),
        (12.5, '"USD" 0.00', "USD 12.50"),
        (12.5, "0.00\\ [$€-407]", "12.50 €"),
        (12.5, "[$£-809]0.00", "£12.50"),
        (-12.5, "[$$-409]#,##0.00", "-$12.50"),
        (0.5, "[Red]0%", "50%"),
        (5, '[Color10]0;"a;b"0', "5"),
        (-5, '[Color10]0;"a;b"0', "a;b5"),
        (3.14159, '0.00" "00', "3.14 16"),
    ],
)
def test_literals_stand_where_they_are_among_the_digits(value: float, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (0.75, "# ?/?", "3/4"),
        (2.75, "# ?/?", "2 3/4"),
        (2.75, "?/?", "11/4"),
        (3, "# ?/?", "3"),
        (0.3, "# ?/8", "2/8"),
        (-1.5, "# ??/??", "-1 1/2"),
        (0.999, "# ?/?", "1"),
        (0.5, "0 ?/4", "0 2/4"),
    ],
)
def test_fractions_are_the_nearest_with_so_many_digits(value: float, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (12345.678, "0.00E+00", "1.23E+04"),
        (0.00012, "0.0E+0", "1.2E-4"),
        (9.999e9, "0.00E+00", "1.00E+10"),
        (12345, "##0.0E+0", "12.3E+3"),
        (0, "0.0E-0", "0.0E0"),
    ],
)
def test_exponents_count_in_steps_of_the_whole_digits(value: float, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (timedelta(hours=36), "[h]:mm", "36:00"),
        (timedelta(hours=27, minutes=30, seconds=15), "[h]:mm:ss", "27:30:15"),
        (timedelta(minutes=95, seconds=30), "[mm]:ss", "95:30"),
        (timedelta(hours=-1, minutes=-30), "[h]:mm", "-1:30"),
        (1.5, "[h]", "36"),
        (1.25, '[h]"h "mm"m"', "30h 00m"),
        (timedelta(seconds=90.25), "[s].00", "90.25"),
        (time(13, 5), "h:mm", "13:05"),
        (time(13, 5, 9), "h:mm:ss AM/PM", "1:05:09 PM"),
        (0.5, "hh:mm", "12:00"),
        (datetime(2024, 3, 4, 13, 5), "h:mm", "13:05"),
        (time(0, 3, 7, 120_000), "mm:ss.0", "03:07.1"),
    ],
)
def test_times_are_written_as_their_format_says(value: Any, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (datetime(2024, 3, 4, 9, 30), "d.m.yy h:mm", "2024-03-04 09:30"),
        (datetime(2024, 3, 4, 9, 30), "m/d/yy", "2024-03-04"),
        (datetime(2024, 3, 4), "mm/dd/yyyy hh:mm:ss", "2024-03-04"),
        (datetime(2024, 3, 4), "General", "2024-03-04"),
        (datetime(2024, 3, 4, 9, 30), "General", "2024-03-04 09:30:00"),
        (date(2024, 3, 4), "d.m.yy", "2024-03-04"),
        (date(2024, 3, 4), "m/yyyy", "2024-03"),
        (date(2024, 3, 4), "yyyy", "2024"),
        (date(2024, 3, 4), '"Week of "d/m', "Week of 2024-03-04"),
        (date(2024, 3, 4), "mmm d, yyyy", "Mar 4, 2024"),
        (date(2024, 3, 4), "dddd, d. mmmm yyyy", "Monday, 4. March 2024"),
        (date(2024, 3, 4), "[$-409]mmm-yy", "Mar-24"),
        (date(2024, 3, 4), "[$-407]d. mmmm yyyy", "2024-03-04"),
        (date(2024, 3, 4), 'yyyy"年"m"月"d"日"', "2024年3月4日"),
        (date(2024, 3, 4), "d", "4"),
        (date(2024, 3, 4), "General", "2024-03-04"),
        (45355, "d/m/yyyy", "2024-03-04"),
        (-3, "d/m/yyyy", "-3"),
        (60, "d/m/yyyy", "1900-02-28"),
    ],
)
def test_a_date_is_in_iso_form_unless_its_format_names_the_month(
    value: Any, number_format: str, shown: str
) -> None:
    assert display(value, number_format) == shown


def test_a_serial_number_counts_from_the_epoch() -> None:
    assert display(0, "yyyy-mm-dd", epoch=EPOCH_1904) == "1904-01-01"


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        ("abc", '0;-0;0;"<"@">"', "<abc>"),
        ("abc", ";;;", ""),
        ("abc", '"see "@', "see abc"),
        ("abc", "0;0;0", "abc"),
        (42, "@", "42"),
    ],
)
def test_text_is_shown_through_its_own_section(value: Any, number_format: str, shown: str) -> None:
    assert display(value, number_format) == shown


@given(st.integers(-(10**14), 10**14), st.integers(0, 6), st.booleans())
def test_fixed_decimals_are_those_of_exact_rounding(number: int, places: int, grouped: bool) -> None:
    value = number / 10**6
    code = ("#,##0" if grouped else "0") + ("." + "0" * places if places else "")
    exact = Decimal(f"{value:.15g}").quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    expected = f"{exact:{',' if grouped else ''}.{places}f}"
    assert display(value, code) == (expected if exact else expected.removeprefix("-"))


@given(
    st.floats(allow_nan=True, allow_infinity=True)
    | st.integers()
    | st.text(max_size=5)
    | st.datetimes()
    | st.timedeltas()
    | st.times(),
    st.text(max_size=30) | st.text('0#?,.%/E+-@;[]h:msdy"*_\\$ <=>A', max_size=16),
)
def test_no_number_format_breaks_the_display_of_a_value(value: Any, number_format: str) -> None:
    assert isinstance(display(value, number_format), str)
