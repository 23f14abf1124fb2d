"""Fields and form fields of a Word document (ECMA-376 part 1, 17.16), as far as they keep no result.

What belongs here: what a field is made of, and what a form field shows. What does not: following fields
through the runs of a paragraph (`docx_text`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.docx_styles import W, on

if TYPE_CHECKING:
    from lxml.etree import _Element

SYMBOL_FIELD = re.compile(r'\s*SYMBOL\s+(0x[0-9a-fA-F]+|\d+)(?:.*?\\f\s+"?([^"\\]+))?', re.IGNORECASE)
BUTTON_FIELD = re.compile(r"\s*MACROBUTTON\s+\S+\s+(.*)", re.IGNORECASE | re.DOTALL)


@dataclass
class Field:
    """A field that is open: its instruction, then its result (17.16.18)."""

    form: _Element | None = None
    instruction: list[str] = field(default_factory=list)
    in_instruction: bool = True
    has_result: bool = False
    target: str = ""


def form_value(form: _Element) -> str:
    """What a form field shows (17.16.17): the state of a check box, the choice of a list, a default text."""
    box = form.find(f"{W}checkBox")
    if box is not None:
        state = box.find(f"{W}checked")
        return "☒" if on(box.find(f"{W}default") if state is None else state) else "☐"
    choices = form.find(f"{W}ddList")
    if choices is not None:
        entries = [entry.get(f"{W}val") or "" for entry in choices.iterfind(f"{W}listEntry")]
        chosen = choices.find(f"{W}result")
        chosen = choices.find(f"{W}default") if chosen is None else chosen
        place = int(chosen.get(f"{W}val") or 0) if chosen is not None else 0
        return entries[place] if 0 <= place < len(entries) else ""
    default = form.find(f"{W}textInput/{W}default")
    return "" if default is None else default.get(f"{W}val") or ""
