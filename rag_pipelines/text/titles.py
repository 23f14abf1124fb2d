"""What deserves to be called the title of a document, or to head a part of it: one rule for all formats.

What belongs here: judging texts that a document shows or its file names. What does not: where they stand in a
file (the parsers), and which of them go in front of a chunk (`chunking.about`).
"""

from __future__ import annotations

import re


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_PROGRAM_FILES = (
    "docx?|dotx?|docm|pdf|ppsx?|pptx?|xlsx?|xlsm|od[tsp]|rtf|txt|html?|xml|indd|qx[dp]|tex|dvi|ps|eps|ai|cdr|pub|"
    "pmd|p65|fm|wpd|md|jpe?g|png|tiff?|dwg|vsdx?|cfm|aspx?|php"
)
_LEFT_BY_A_PROGRAM = _any_of(
    r"microsoft (?:office )?(?:word|powerpoint|excel)(?: ?[-–:].*| (?:document|presentation)\b.*)?",
    r"(?:word )?document\d*|doc\d+|(?:new|neues) (?:document|dokument)",
    r"untitled.*|unbenannt.*|sans titre.*|s[ie][nm] t[ií]tulo.*|senza titolo.*|无标题.*|無題.*",
    r"power\s?point presentation|pr[ée]sentation powerpoint|powerpoint-pr[äe]sentation",
    r"(?:presentaci[óo]n de|apresenta[çc][ãa]o do|presentazione(?: standard di)?) powerpoint",
    r"pr[äeé]sentation\d*|(?:slide|folie|layout|model|sheet|tabelle|page|seite|book|mappe|classeur) ?\d*",
    r"(?:template|vorlage)(?![^\W_]).*|no slide title",
    r"(?:your |document |presentation |report )?title(?: goes)?(?: here)?",
    r"(?:click|tap) (?:here )?to (?:edit|add|enter)\b.*|\[.*\]",
    r"(?:type|insert|enter|add) (?:the |your |a )?(?:document )?title\b.*",
    r"blank|print|printing|full page photo|scan(?:ned)?(?: (?:document|image))?\W*\d*|about:blank",
    rf".*\.(?:{_PROGRAM_FILES})",
)
"""What programs write into the title property by themselves, placeholders of templates, names of files."""

_BOILERPLATE = _any_of(
    r"(?:(?:strictly|highly|private|and|company|commercial(?:ly)?|in|streng) )*"
    r"(?:confidential|confidence|vertraulich|confidentiel|confidencial|riservato)",
    r"(?:preliminary |first |final |working )?(?:draft|entwurf|brouillon)",
    r"(?:for )?internal(?: use)?(?: only)?|nur f[üu]r den internen gebrauch|for official use only",
    r"copyright (?:©|\(c\)|\d{4}).*|(?:©|\(c\)).*|all rights reserved.*",
    r"not for (?:release|distribution|publication)\b.*",
    r"this page (?:is |was )?(?:intentionally )?(?:left )?blank.*|(?:front |back )?cover(?: page)?",
    r"united states|(?:united states |u\.s\. )?securities and exchange commission.*",
    r"washington,? d\.? ?c\.?.*",
    r"form \d{1,2}-[a-z](?:/a)?|\W*\(mark one\).*|\(?exact name of registrant\b.*",
    r"(?:quarterly|annual|transition|current) report pursuant to\b.*",
    r"(?:source:? *)?(?:https?://|www\.)\S*",
)
"""Lines of a cover that say nothing of the document."""

_CONTENTS = _any_of(
    r"(?:table of )?contents|inhalt(?:sverzeichnis)?|sommaire|table des mati[èe]res|[íi]ndice|index",
    r"title page|(?:page|seite|p\.|s\.) \d+\b.*",
)
"""Lines that every document has, but for their numbers."""


_SECTION = _any_of(
    r"(?:\d{1,2}(?:\.\d{1,3})*[.)]?\s+)?(?:introduction|overview|(?:executive )?summary|abstract|purpose|"
    r"scope|background|preface|foreword|general|einleitung|[üu]berblick|zusammenfassung|vorwort|allgemeines|résumé|"
    r"avant-propos|introducci[óo]n|resumen|(?:appendix|annex|anhang)(?: \w{1,3})?)\W*"
)
"""Headings that say nothing of the whole."""

_DOUBLED = re.compile(r"(?:(.)\1){3,}")
_TWO_WORDS = re.compile(
    r"[^\W\d_]{2,}[\W_]*\s.*[^\W\d_]{2}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{3}", re.DOTALL
)
_WORD = re.compile(r"[^\W_]+")
_FEWEST_LETTERS = 3
"""A shorter name stands on every page by chance."""


def words_of(text: str) -> frozenset[str]:
    """The words and numbers of a text, case folded."""
    return frozenset(_WORD.findall(text.casefold()))


def is_boilerplate(text: str) -> bool:
    """Whether a line says nothing of its document: "Confidential", the number of a form, an address."""
    return _BOILERPLATE.fullmatch(text.strip()) is not None


def may_be_title(text: str) -> bool:
    """Whether a line that a document shows can be what it is called: no boilerplate, not "Contents"."""
    return not is_boilerplate(text) and not _CONTENTS.fullmatch(text.strip())


def meaningful_title(named: str | None) -> str | None:
    """`named` by a file's metadata if a person wrote it, None for what programs fill in.

    That are names of files and of templates, numbers such as ``0001193125-24-018832``, and glyphs read
    twice.
    """
    named = " ".join((named or "").split())
    if not any(map(str.isalpha, named)) or _LEFT_BY_A_PROGRAM.fullmatch(named) or not may_be_title(named):
        return None
    return None if _DOUBLED.fullmatch("".join(named.split())) else named


def choose_title(shown: str | None, named: str | None, first_page: str = "") -> str | None:
    """The title of a document, None where neither is one.

    What the document shows goes before what its file is named, which may be of the file it was copied from,
    but where the name is the longer form of the same title or is printed on the first page itself. The
    heading of a section, or one word, is no title of the whole where the file has a name of several words.

    Args:
        shown: what the document calls itself.
        named: the title in its metadata.
        first_page: what its first page says, where that is known.
    """
    named = meaningful_title(named)
    shown = shown if shown and may_be_title(shown) else None
    if named is None:
        return shown
    letters = _letters(named)
    if len(letters) >= _FEWEST_LETTERS and letters in _letters(first_page):
        return shown if shown and words_of(named) < words_of(shown) else named
    if shown is None or _SECTION.fullmatch(shown) or not _TWO_WORDS.search(shown):
        has_word = shown is None and any(map(str.isalpha, named.split()))
        return named if has_word or _TWO_WORDS.search(named) else shown
    return named if words_of(shown) < words_of(named) else shown


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
