"""Text in DrawingML: the paragraphs of shapes, table cells, charts and diagrams.

What belongs here: what a paragraph (ECMA-376 part 1, 21.1.2) reads as. What does not: where paragraphs are
found, and their bullets (`pptx_lists`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rag_pipelines.parsing.links import LINK, end_of_link
from rag_pipelines.parsing.office.ooxml_equations import M, linear
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.symbol_fonts import is_symbol_font, read_symbols

if TYPE_CHECKING:
    from lxml.etree import _Element

A: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
NO_TARGETS: Final[Mapping[str, str]] = MappingProxyType({})

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_PRIVATE = re.compile("[\uf020-\uf0ff]+")
MC: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"


def paragraph_text(
    paragraph: _Element, slide_number: int | None = None, targets: Mapping[str, str] = NO_TARGETS
) -> str:
    """The text of an ``a:p``; where `slide_number` is given, a field for it shows that.

    `targets` are where the links of its part lead, by the id of the relation.
    """
    runs: list[tuple[str, bool]] = []
    _collect(paragraph, runs, slide_number, targets)
    return join_runs(runs)


def body_text(
    body: _Element | None, slide_number: int | None = None, targets: Mapping[str, str] = NO_TARGETS
) -> str:
    """The paragraphs below `body`, one a line."""
    paragraphs = () if body is None else body.iter(f"{A}p")
    lines = (paragraph_text(paragraph, slide_number, targets) for paragraph in paragraphs)
    return "\n".join(line for line in lines if line.strip())


def _collect(
    element: _Element, runs: list[tuple[str, bool]], slide_number: int | None, targets: Mapping[str, str]
) -> None:
    for child in element.iterchildren():
        tag = child.tag
        if tag == f"{A}r":
            link = child.find(f"{A}rPr/{A}hlinkClick") if targets else None
            if link is not None and (target := targets.get(link.get(f"{_R}id") or "")):
                runs += (LINK, False), _run(child), (end_of_link(target), False)
            else:
                runs.append(_run(child))
        elif tag == f"{A}fld":
            is_number = slide_number is not None and child.get("type") == "slidenum"
            runs.append((str(slide_number), False) if is_number else _run(child))
        elif tag == f"{A}br":
            runs.append(("\n", False))
        elif tag == f"{M}oMath":
            runs.append((linear(child), False))
        elif isinstance(tag, str) and tag not in (f"{A}pPr", f"{A}endParaRPr", f"{MC}Fallback"):
            _collect(child, runs, slide_number, targets)


def _run(run: _Element) -> tuple[str, bool]:
    """The text of a run, and whether it is raised above the line."""
    text = (run.findtext(f"{A}t") or "").replace("\v", "\n")
    properties = run.find(f"{A}rPr")
    if properties is None:
        return text, False
    latin, symbols = (_face(properties.find(f"{A}{name}")) for name in ("latin", "sym"))
    if is_symbol_font(latin):
        text = read_symbols(text, latin)
    elif is_symbol_font(symbols):
        text = _PRIVATE.sub(lambda found: read_symbols(found[0], symbols), text)
    return text, _is_positive(properties.get("baseline"))


def _face(font: _Element | None) -> str | None:
    return None if font is None else font.get("typeface")


def _is_positive(percentage: str | None) -> bool:
    return percentage is not None and percentage.strip("0%.") != "" and not percentage.startswith("-")
