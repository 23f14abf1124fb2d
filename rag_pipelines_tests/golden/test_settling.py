"""The rules by which code and results of a stage change together."""

from __future__ import annotations

import pytest

from rag_pipelines.provenance.stages import Pin, name_of, read_pins
from rag_pipelines_tests.golden.settling import Seen, Verdict, settled, verdict, written

PINS = [Pin("chunker:whole", "new1", "1"), Pin("parser:text/csv", "aaaa", "aaaa")]


def seen(digest: str, *, equal: bool, same_libraries: bool = True) -> Seen:
    return Seen("parser:text/csv", digest, equal, same_libraries)


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (seen("aaaa", equal=True), Verdict.FINE),
        (seen("aaaa", equal=False), Verdict.UNSEEN),
        (seen("aaaa", equal=False, same_libraries=False), Verdict.OTHER_LIBRARIES),
        (seen("bbbb", equal=False), Verdict.REFRESH),
        (seen("bbbb", equal=True), Verdict.UNDECIDED),
    ],
)
def test_code_and_results_have_to_change_together(one: Seen, found: Verdict) -> None:
    assert verdict(one, PINS) is found


def name(pins: list[Pin], digest: str) -> str:
    return name_of("parser:text/csv", digest, pins)


def test_code_that_changes_no_result_keeps_its_name_also_the_second_time() -> None:
    once = settled([seen("bbbb", equal=True)], PINS, equal=True)
    twice = settled([seen("cccc", equal=True)], once, equal=True)
    assert (name(once, "bbbb"), name(twice, "cccc")) == ("aaaa", "aaaa")


def test_code_that_changes_results_has_a_new_name_whatever_is_asked() -> None:
    assert name(settled([seen("bbbb", equal=False)], PINS, equal=True), "bbbb") == "bbbb"
    assert name(settled([seen("bbbb", equal=True)], PINS, equal=False), "bbbb") == "bbbb"


def test_after_a_merge_of_two_changes_the_name_stays_if_neither_changed_results() -> None:
    """Merged line by line the file has both sides' lines; the merged code is a third."""
    refactored = [Pin("parser:text/csv", "bbbb", "aaaa"), Pin("parser:text/csv", "cccc", "aaaa")]
    assert name(settled([seen("dddd", equal=True)], refactored, equal=True), "dddd") == "aaaa"
    changed = [Pin("parser:text/csv", "bbbb", "aaaa"), Pin("parser:text/csv", "cccc", "cccc")]
    assert name(settled([seen("dddd", equal=True)], changed, equal=True), "dddd") == "dddd"


def test_a_pin_holds_for_the_code_that_it_names_only() -> None:
    assert name_of("chunker:whole", "new1", PINS) == "1"
    assert name_of("chunker:whole", "new2", PINS) == "new2"
    assert name_of("chunker:tokens", "new1", PINS) == "new1"


def test_pins_are_read_as_they_are_written_and_a_broken_line_is_named() -> None:
    assert read_pins(written(PINS)) == PINS
    with pytest.raises(ValueError, match="not 'parser:text/csv aaaa'"):
        read_pins("parser:text/csv aaaa\n")
