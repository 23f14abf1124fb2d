"""Documents that look alike, and questions whose answer stands in exactly one of them.

What belongs here: the families of `*.yaml` as files of the kinds that users have, and their golden
set. What does not: searching (`retrieval_sets`).

Every member of a family says the same with other figures: by two wordings, in turning order. Which member it
is, a reader can tell from one place alone (`told`):

- ``title``: what the document calls itself on its first line.
- ``cover``: a line below that, or a first page of its own.
- ``header``: what stands at the head of every page.
- ``metadata``: the properties of the file, the front matter, the head of the page.
- ``file`` and ``folder``: where it lies.

The titles in the metadata of PDF and DOCX are wrong otherwise, as programs and copies leave them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import yaml

from rag_pipelines.evaluation.questions import GoldenSet, Question, Reference

FAMILIES = Path(__file__).parent
PLACES = ("title", "cover", "header", "metadata", "file", "folder")
LEFT_BY_PROGRAMS = ("Microsoft Word - Vorlage_7.docx", "0001193125-19-004711", "untitled", "Layout 1")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of every member; where something is asked, a text holds the fact of the member."""

    headings: list[str]
    texts: list[str]
    ask: list[str] = []


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document; `label` is its name where the document itself says it, `key` the name of its metadata."""

    name: str
    told: str
    file: str
    facts: list[str]
    label: str = ""
    key: str = "subject"

    @property
    def shown(self) -> str:
        """What the document calls itself beside the name of the family."""
        return self.label or self.name


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Documents that look alike."""

    name: str
    title: str
    about: str
    sections: list[Section]
    members: list[Member]

    @cached_property
    def asked(self) -> list[Section]:
        """The sections with a fact, in the order of the facts."""
        return [section for section in self.sections if section.ask]


class Page(msgspec.Struct, frozen=True):
    """What a member says, whatever file it becomes."""

    title: str
    cover: str
    header: str
    told: Mapping[str, str]
    wrong_title: str
    about: str
    sections: Sequence[tuple[str, str]]


def write_families(folder: Path) -> GoldenSet:
    """Write all members below `folder`; returns the questions, tagged with their place, kind and family."""
    questions: list[Question] = []
    for path in sorted(FAMILIES.glob("*.yaml")):
        family = msgspec.convert({"name": path.stem} | yaml.safe_load(path.read_text("utf-8")), Family)
        _validate(family)
        for number, member in enumerate(family.members):
            file = folder / family.name / member.file
            file.parent.mkdir(parents=True, exist_ok=True)
            _WRITERS[file.suffix](file, _page(family, number))
            questions += _questions(family, number)
    return GoldenSet("families", tuple(questions))


def _validate(family: Family) -> None:
    """Every fact is its member's alone, and who is told by its place lies there."""
    for facts in zip(*(member.facts for member in family.members), strict=True):
        if len(set(facts)) < len(facts):
            raise ValueError(f"{family.name}: a fact stands in two members: {', '.join(facts)}")
    for member in family.members:
        where = {"file": Path(member.file).stem, "folder": str(Path(member.file).parent)}.get(member.told)
        hidden = where is not None and _words(member.shown) - _words(where)
        if member.told not in PLACES or hidden:
            raise ValueError(f"{family.name}: nobody can tell {member.name} by its {member.told}")


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.casefold()))


def _page(family: Family, number: int) -> Page:
    """A member's content: its wordings, headings and their order depend on its number."""
    member = family.members[number]
    facts = dict(zip(map(id, family.asked), member.facts, strict=True))
    made = [
        (
            section.headings[(number + place) % len(section.headings)],
            section.texts[(number // 2 + place) % len(section.texts)].format(fact=facts.get(id(section))),
        )
        for place, section in enumerate(family.sections)
    ]
    turned = made[number % len(made) :] + made[: number % len(made)]
    copied = f"{family.title} {family.members[(number + 1) % len(family.members)].shown}"
    by_title = f"{family.title}: {member.shown}" if number % 2 else f"{member.shown} - {family.title}"
    return Page(
        title=by_title if member.told == "title" else family.title,
        cover=member.shown if member.told == "cover" else "",
        header=member.shown if member.told == "header" else "",
        told={member.key: member.shown} if member.told == "metadata" else {},
        wrong_title=copied if member.told == "title" else LEFT_BY_PROGRAMS[number % len(LEFT_BY_PROGRAMS)],
        about=family.about,
        sections=turned,
    )


def _questions(family: Family, number: int) -> Iterator[Question]:
    member = family.members[number]
    path = f"{family.name}/{member.file}"
    for place, (section, fact) in enumerate(zip(family.asked, member.facts, strict=True)):
        asked = section.ask[(number + place) % len(section.ask)]
        yield Question(
            id=f"{family.name}-{number + 1}-{place + 1}",
            query=asked.format(name=member.name),
            expect=(Reference(path=path, quote=fact),),
            tags=(f"told:{member.told}", f"kind:{Path(path).suffix[1:]}", f"family:{family.name}"),
        )


def _write_markdown(file: Path, page: Page) -> None:
    lines = ["---", yaml.safe_dump(dict(page.told)).strip(), "---", ""] if page.told else []
    lines += [f"# {page.title}", ""]
    lines += [f"*{line}*\n" for line in (page.cover, page.about) if line]
    for heading, text in page.sections:
        lines += [f"## {heading}", "", text, ""]
    file.write_text("\n".join(lines), encoding="utf-8")


def _write_html(file: Path, page: Page) -> None:
    told = "".join(
        f'<meta name="description" content="{html.escape(f"{page.title}, {value}")}">'
        for value in page.told.values()
    )
    body = [f"<h1>{html.escape(page.title)}</h1>"]
    body += [f"<p>{html.escape(line)}</p>" for line in (page.cover, page.about) if line]
    for heading, text in page.sections:
        body += [f"<h2>{html.escape(heading)}</h2>", f"<p>{html.escape(text)}</p>"]
    head = f'<meta charset="utf-8"><title>{html.escape(page.title)}</title>{told}'
    file.write_text(
        f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(body)}</body></html>", "utf-8"
    )


def _write_docx(file: Path, page: Page) -> None:
    from docx import Document

    document: Any = Document()
    document.core_properties.title = page.wrong_title
    document.core_properties.subject = next(iter(page.told.values()), "")
    if page.header:
        document.sections[0].header.paragraphs[0].text = page.header
    document.add_heading(page.title, 0)
    for line in filter(None, (page.cover, page.about)):
        document.add_paragraph(line)
    if page.cover:
        document.add_page_break()
    for heading, text in page.sections:
        document.add_heading(heading, 1)
        document.add_paragraph(text)
    document.save(str(file))


def _write_pdf(file: Path, page: Page) -> None:
    """Three pages or four: where there is a cover it is the first, and every page has two sections."""
    import pymupdf

    document: Any = pymupdf.open()
    told = next(iter(page.told.values()), "")
    document.set_metadata({"title": f"{page.title}, {told}" if told else page.wrong_title})
    halves = [page.sections[:2], page.sections[2:]]
    for number, sections in enumerate([[], *halves] if page.cover else halves):
        sheet = document.new_page()
        if page.header:
            sheet.insert_text((72, 40), page.header, fontsize=9)
        sheet.insert_text((290, 810), str(number + 1), fontsize=9)
        y = 110.0
        if not number:
            sheet.insert_text((72, y), page.title, fontsize=22)
            for line in filter(None, (page.cover, page.about)):
                y += 36
                sheet.insert_text((72, y), line, fontsize=12)
            y += 60
        for heading, text in sections:
            sheet.insert_text((72, y), heading, fontsize=15)
            left = sheet.insert_textbox(pymupdf.Rect(72, y + 12, 520, y + 132), text, fontsize=11)
            y += 132 - left + 36
    document.save(str(file), no_new_id=True)


_WRITERS = {".md": _write_markdown, ".html": _write_html, ".docx": _write_docx, ".pdf": _write_pdf}
