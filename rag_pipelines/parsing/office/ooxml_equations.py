"""Office Math (OMML) as one line of text, the way a person would type it: ``∑_(k=1)^n A_k``, ``(a+b)/2``.

What belongs here: the operators of ECMA-376 part 1, section 22.1.2. What does not: text outside equations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lxml.etree import _Element

M: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"

_ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}


def linear(element: _Element) -> str:
    """The equation, or the part of one, below `element`."""
    tag = element.tag
    if tag == f"{M}t":
        return element.text or ""
    if tag == f"{M}f":
        return f"{_group(element, 'num')}/{_group(element, 'den')}"
    if tag in (f"{M}sSup", f"{M}sSub", f"{M}sSubSup", f"{M}limLow", f"{M}limUpp"):
        return f"{_base(element)}{_scripts(element)}"
    if tag == f"{M}sPre":
        return f"{_scripts(element)}{_part(element, 'e')}"
    if tag == f"{M}nary":
        return f"{_character(element, 'naryPr', 'chr', '∫')}{_scripts(element)} {_part(element, 'e')}"
    if tag == f"{M}func":
        return f"{_part(element, 'fName')} {_part(element, 'e')}"
    if tag == f"{M}rad":
        degree = _part(element, "deg")
        return f"{_ROOTS.get(degree, f'root_{degree} ')}{_group(element, 'e')}"
    if tag == f"{M}d":
        inner = _character(element, "dPr", "sepChr", ", ").join(map(linear, element.iterchildren(f"{M}e")))
        return (
            f"{_character(element, 'dPr', 'begChr', '(')}{inner}{_character(element, 'dPr', 'endChr', ')')}"
        )
    if tag == f"{M}m":
        rows = (", ".join(map(linear, row.iterchildren(f"{M}e"))) for row in element.iterchildren(f"{M}mr"))
        return f"[{'; '.join(rows)}]"
    if tag == f"{M}eqArr":
        return "; ".join(map(linear, element.iterchildren(f"{M}e")))
    return "".join(linear(child) for child in element.iterchildren() if isinstance(child.tag, str))


def _base(element: _Element) -> str:
    """What carries a script, in parentheses where it would otherwise end with a part of itself."""
    base = element.find(f"{M}e")
    if base is not None and base.find(f"{M}f") is not None:
        return f"({linear(base)})"
    return _part(element, "e")


def _part(element: _Element, name: str) -> str:
    part = element.find(f"{M}{name}")
    return "" if part is None else linear(part)


def _group(element: _Element, name: str) -> str:
    """A part, in parentheses where it is more than one number or name."""
    part = _part(element, name)
    return part if part.isalnum() else f"({part})"


def _scripts(element: _Element) -> str:
    lower = "sub" if element.find(f"{M}sub") is not None else "lim" if element.tag == f"{M}limLow" else ""
    upper = "sup" if element.find(f"{M}sup") is not None else "lim" if element.tag == f"{M}limUpp" else ""
    text = f"_{_group(element, lower)}" if lower and _part(element, lower) else ""
    return text + (f"^{_group(element, upper)}" if upper and _part(element, upper) else "")


def _character(element: _Element, properties: str, name: str, default: str) -> str:
    found = element.find(f"{M}{properties}/{M}{name}")
    return default if found is None else found.get(f"{M}val") or ""
