"""What deserves to be called a title."""

from __future__ import annotations

import pytest

from rag_pipelines.text.titles import choose_title, is_boilerplate


@pytest.mark.parametrize(
    "named",
    [
        "0001628280-24-018832", "D4817dex13", "rules_v3-final", "Microsoft Word - Annual report.docx",
        "Microsoft PowerPoint - deck", "Document3", "untitled",
        "Sans titre 2", "PowerPoint-Präsentation", "Layout 1", "Model", "Template_v7",
        "Click to edit Master title style", "[Title]", "annual report_final.indd", "glxz-10k_20211231.htm",
        "AAnnnnuuaall  RReeppoorrtt", "Scanned Document 12", "Contents", "Page 7 of the Gazette", "  ", None,
    ],
)  # fmt: skip
def test_what_programs_fill_in_is_no_title(named: str | None) -> None:
    assert choose_title("Well pump 300", named) == "Well pump 300"
    assert choose_title(None, named) is None


@pytest.mark.parametrize(
    "named", ["Annual report 2024", "Microsoft Excel for accountants", "Quillon 3.12", "港湾規則", "Handbook"]
)
def test_a_name_that_a_person_wrote_is_a_title_where_the_document_shows_none(named: str) -> None:
    assert choose_title(None, named) == named


def test_the_title_of_the_document_this_one_was_copied_from_gives_way_to_its_own() -> None:
    assert choose_title("Plan for cycling in Chelsea", "Plan for the trail in Prescott") == (
        "Plan for cycling in Chelsea"
    )


def test_the_longer_form_of_the_same_title_is_taken_from_either() -> None:
    assert choose_title("Leave policy", "Leave policy, Norway") == "Leave policy, Norway"
    assert choose_title("Leave policy, Norway", "Leave policy") == "Leave policy, Norway"


def test_a_name_printed_on_the_first_page_is_the_title_and_larger_letters_are_not() -> None:
    page = "Acme group\nTerms of the gold account\nValid from May"
    assert choose_title("Acme group", "Terms of the gold account", page) == "Terms of the gold account"
    assert choose_title("Acme group", "Terms of the iron account", page) == "Acme group"


@pytest.mark.parametrize("shown", ["1. Introduction", "Appendix B", "FlightOPS", "Contents", "CONFIDENTIAL"])
def test_a_heading_that_says_nothing_of_the_whole_gives_way_to_a_name_of_words(shown: str) -> None:
    assert choose_title(shown, "Losing the cabin") == "Losing the cabin"
    assert choose_title(shown, "D4817dex13") != "D4817dex13"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Strictly private and confidential", True), ("FORM 10-Q", True), ("https://example.org/a", True),
        ("UNITED STATES SECURITIES AND EXCHANGE COMMISSION", True), ("© 2024 Acme", True),
        ("This page intentionally left blank", True), ("All rights reserved", True),
        ("Confidentiality agreement", False), ("Copyright notice", False), ("United States of Europe", False),
        ("Draft beer regulations", False), ("Form 10 for visitors", False),
    ],
)  # fmt: skip
def test_boilerplate_is_told_from_headings_that_begin_like_it(text: str, is_one: bool) -> None:
    assert is_boilerplate(text) is is_one
