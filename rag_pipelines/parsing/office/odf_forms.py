"""Form controls of an OpenDocument file as a reader sees them filled in.

What belongs here: what a control shows (OpenDocument 1.3 part 3, 13.5). What does not: where it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.odf_names import FORM, TEXT, XML_ID

if TYPE_CHECKING:
    from lxml.etree import _Element


def read_controls(content: _Element) -> dict[str, str]:
    """What each control shows, by the id that a drawing refers to."""
    controls: dict[str, str] = {}
    for form in content.iter(f"{FORM}form"):
        for control in form.iterchildren():
            identifier = control.get(XML_ID) or control.get(f"{FORM}id")
            if identifier and control.tag != f"{FORM}form":
                controls[identifier] = _shown(control)
    return controls


def _shown(control: _Element) -> str:
    kind = control.tag
    label = control.get(f"{FORM}label") or ""
    if kind in (f"{FORM}checkbox", f"{FORM}radio"):
        state = control.get(f"{FORM}current-state") or control.get(f"{FORM}state")
        is_on = state == "checked" or (
            kind == f"{FORM}radio"
            and (control.get(f"{FORM}current-selected") or control.get(f"{FORM}selected")) == "true"
        )
        return f"{'☒' if is_on else '☐'} {label}".strip()
    if kind == f"{FORM}listbox":
        options = control.findall(f"{FORM}option")
        chosen = [one for one in options if one.get(f"{FORM}current-selected") == "true"]
        chosen = chosen or [one for one in options if one.get(f"{FORM}selected") == "true"]
        return ", ".join(one.get(f"{FORM}label") or "" for one in chosen)
    if kind in (f"{FORM}hidden", f"{FORM}password"):
        return ""
    paragraphs = "\n".join("".join(one.itertext()) for one in control.iterfind(f"{TEXT}p"))
    return paragraphs or control.get(f"{FORM}current-value") or control.get(f"{FORM}value") or label
