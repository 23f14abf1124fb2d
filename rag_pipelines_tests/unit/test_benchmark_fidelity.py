"""The figures of the fidelity benchmark: what counts as a word, as lost, as moved and as side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scoring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return pytest.importorskip("fidelity.scoring")


@pytest.fixture
def flat_odf(scoring: ModuleType) -> ModuleType:
    return pytest.importorskip("fidelity.flat_odf")


def shown(scoring: ModuleType, text: str, **more: Any) -> Any:
    words = scoring.tokens(text)
    return scoring.Reference(Counter(words), Counter(words), words, **more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a well-\nknown fact", "a well-known fact"),
        ("10\u2076 \ufb01les", "10^6 files"),
        ("soft\u00adhyphen", "softhyphen"),
        ("\uff21\uff22\uff23", "abc"),
    ],
)
def test_what_only_looks_different_is_one_word(scoring: ModuleType, one: str, other: str) -> None:
    assert scoring.tokens(one) == scoring.tokens(other)


def test_a_number_is_one_word_with_its_separators(scoring: ModuleType) -> None:
    assert scoring.tokens("1,234.50 and 1234.5") == ["1,234.50", "and", "1234.5"]


def test_scripts_without_spaces_are_compared_by_character(scoring: ModuleType) -> None:
    assert scoring.tokens("日本語abc") == ["日", "本", "語", "abc"]


def test_each_occurrence_of_a_word_is_asked_for(scoring: ModuleType) -> None:
    made = scoring.score(shown(scoring, "total total 7 left"), "total left 8")
    assert (made.words, made.found, made.numbers, made.numbers_found) == (4, 2, 1, 0)
    assert made.missing == Counter({"total": 1, "7": 1})
    assert made.surplus == Counter({"8": 1})


def test_a_document_that_was_not_read_has_lost_all(scoring: ModuleType) -> None:
    made = scoring.score(shown(scoring, "all of this"), None)
    assert (made.recall, made.unread) == (0.0, 1)


def test_glued_words_are_told_from_lost_ones(scoring: ModuleType) -> None:
    kinds = scoring.kinds_of([("header", "gone"), ("body", "rest glued words")])
    made = scoring.score(shown(scoring, "gone rest glued words", kinds=kinds), "rest gluedwords")
    assert made.lost == Counter({scoring.SPLIT: 2, "header": 1})


def test_a_kind_is_not_blamed_for_more_words_than_it_holds(scoring: ModuleType) -> None:
    kinds = scoring.kinds_of([("page", "x x x x there"), ("turned", "x")])
    made = scoring.score(shown(scoring, "x x x x there", kinds=kinds), "there")
    assert made.lost == Counter({"turned": 1, "page": 3})


def test_a_moved_paragraph_is_out_of_order(scoring: ModuleType) -> None:
    made = scoring.score(shown(scoring, "a b c d e f"), "e f a b c d")
    assert (made.ordered, made.compared) == (4, 6)


def test_passages_judged_by_eye_are_looked_for_whole_and_in_order_of_their_thread(
    scoring: ModuleType,
) -> None:
    left, right = "one two three", "four five six"
    reference = shown(scoring, "", threads=[[left.split(), right.split()], [["note"]]])
    for text, read in (
        (f"note {left} {right}", 3),
        (f"{right} {left} note", 2),
        (f"{right} {left} {right}", 2),
        ("one four two five three six note", 1),
    ):
        made = scoring.score(reference, text)
        assert (made.read_in_order, made.passages) == (read, 3), text


def test_the_passages_judged_by_eye_are_words_of_their_own(scoring: ModuleType) -> None:
    judged = pytest.importorskip("fidelity.reading_order").judged()
    for label, threads in judged.items():
        assert all(all(thread) and len({*map(tuple, thread)}) == len(thread) for thread in threads), label


def test_cells_are_neighbours_where_one_line_holds_both(scoring: ModuleType) -> None:
    reference = shown(scoring, "", rows=[["Net income", "", "12.5"], ["Tax", "3"]])
    beside = scoring.score(reference, "| Net income |  | 12.5 |\n| Tax | 3 |")
    below = scoring.score(reference, "Net income\n12.5\nTax | 3")
    assert (beside.pairs, beside.pairs_found) == (2, 2)
    assert below.parted == Counter({("net", "income", "12.5"): 1})


def test_however_a_formula_is_grouped_its_signs_are_found(scoring: ModuleType) -> None:
    reference = shown(scoring, "so x 2 y holds", formulas=frozenset({"x", "y", "2"}))
    assert scoring.score(reference, "so x2y holds").recall == 1.0


def test_a_judged_word_is_not_asked_for(scoring: ModuleType) -> None:
    exceptions = pytest.importorskip("fidelity.exceptions")
    kinds = scoring.kinds_of([("body", "left"), ("field", "page 7")])
    reference = shown(scoring, "left page 7", kinds=kinds)
    exemption = exceptions.Exemption("*.docx", "printed by the viewer", kinds=("field",))
    assert exceptions.excepted(reference, "a/b.docx", [exemption]).required == Counter({"left": 1})
    assert exceptions.excepted(reference, "a/b.odt", [exemption]) is reference


def test_every_judgement_gives_a_reason(scoring: ModuleType) -> None:
    exceptions = pytest.importorskip("fidelity.exceptions")
    assert all(one.files and one.reason for one in exceptions.judged())


def test_every_explanation_is_of_one_file_and_gives_a_reason(scoring: ModuleType) -> None:
    explained = pytest.importorskip("fidelity.explained")
    known = explained.reasons()
    assert all(known.values())
    assert len(known) == explained.FILE.read_text(encoding="utf-8").count("- file: ")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"All of it.", ""),
        ("a.rtf", rb"{\rtf1 Words {\pict\pngblip 00} here}", "images_without_text 1"),
        ("a.txt", b"", "not read: the document has no bytes"),
    ],
)
def test_what_a_parse_says_of_a_file_is_what_it_counts_as_lost(
    scoring: ModuleType, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    explained = pytest.importorskip("fidelity.explained")
    corpus = pytest.importorskip("fidelity.corpus")
    (tmp_path / name).write_bytes(content)
    assert explained.losses(corpus.File(tmp_path / name, "rtf", "")) == said


def test_the_neighbours_of_a_judged_cell_are_not_asked_for(scoring: ModuleType) -> None:
    exceptions = pytest.importorskip("fidelity.exceptions")
    reference = shown(scoring, "", rows=[["Profit", "US$3", "up", "again"], ["Tax", "1"]])
    exemption = exceptions.Exemption("*", "drawn with an arrow", cells=r"^US\$")
    assert exceptions.excepted(reference, "a.html", [exemption]).rows == [
        ["Profit"],
        ["up", "again"],
        ["Tax", "1"],
    ]


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("<c>left</c><e/><c>right</c>", [["left", "", "right"]]),
        ("<c>left</c><e/><e/><c>right</c>", [["left", "", ""], ["right"]]),
        ("<c>left</c><under/><c>right</c>", [["left", ""], ["right"]]),
        ("<li>item</li><c>right</c>", [["item", "right"]]),
    ],
)
def test_a_row_is_parted_by_a_cell_from_above_or_two_empty_columns_but_not_by_a_list(
    flat_odf: ModuleType, tmp_path: Path, row: str, parts: list[list[str]]
) -> None:
    above = '<e/><table:table-cell table:number-rows-spanned="2"><text:p>above</text:p></table:table-cell>'
    rows = "".join(f"<table:table-row>{cells}</table:table-row>" for cells in (above, row))
    for short, long in (
        ("<c>", "<table:table-cell><text:p>"),
        ("</c>", "</text:p></table:table-cell>"),
        ("<e/>", "<table:table-cell/>"),
        ("<li>", "<table:table-cell><text:list><text:list-item><text:p>"),
        ("</li>", "</text:p></text:list-item></text:list></table:table-cell>"),
        ("<under/>", "<table:covered-table-cell/>"),
    ):
        rows = rows.replace(short, long)
    file = tmp_path / "sheet.fods"
    name = "urn:oasis:names:tc:opendocument:xmlns"
    file.write_text(
        f"<office:document xmlns:office='{name}:office:1.0' xmlns:table='{name}:table:1.0' "
        f"xmlns:text='{name}:text:1.0'><office:body><office:spreadsheet><table:table>{rows}</table:table>"
        "</office:spreadsheet></office:body></office:document>"
    )
    assert flat_odf.read(file).rows == [["", "above"], *parts]


def test_hidden_sheets_rows_and_columns_are_no_part_of_what_is_shown(
    flat_odf: ModuleType, tmp_path: Path
) -> None:
    name = "urn:oasis:names:tc:opendocument:xmlns"
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    rows = (
        f"<table:table-column/><table:table-column table:visibility='collapse'/>"
        f"<table:table-row>{cell.format('seen')}{cell.format('column')}</table:table-row>"
        f"<table:table-row table:visibility='filter'>{cell.format('row')}</table:table-row>"
    )
    file = tmp_path / "sheet.fods"
    file.write_text(
        f"<office:document xmlns:office='{name}:office:1.0' xmlns:table='{name}:table:1.0' "
        f"xmlns:text='{name}:text:1.0' xmlns:style='{name}:style:1.0'><office:automatic-styles>"
        "<style:style style:name='h'><style:table-properties table:display='false'/></style:style>"
        "</office:automatic-styles><office:body><office:spreadsheet>"
        f"<table:table table:name='One'>{rows}</table:table>"
        f"<table:table table:name='Two' table:style-name='h'>{rows}</table:table>"
        "</office:spreadsheet></office:body></office:document>"
    )
    flat = flat_odf.read(file)
    assert [text for kind, text in flat.pieces if kind not in flat_odf.UNSEEN] == ["One", "seen"]
    assert flat.rows == [["seen", ""]]
