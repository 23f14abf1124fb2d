"""Elements that a browser draws by rules of their own, as the text in a line that a reader sees of them.

What belongs here: images, form fields, formulas (MathML), drawings (SVG). What does not: elements that hold
ordinary text (`text`, `parse`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rag_pipelines.text.superscripts import raised

if TYPE_CHECKING:
    from bs4.element import Tag

_WITHOUT_VALUE = frozenset({"hidden", "password", "file", "color", "range"})
_NOT_DRAWN = frozenset({"defs", "symbol", "clippath", "mask", "marker", "pattern"})
_DEEPEST_FORMULA = 40
_OPERATORS = frozenset("=<>≤≥≠≈+±→⇒")
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|bmp|svg|webp)", re.I)
_TINY = re.compile(r"\s*[0-3](?:px)?\s*")


def is_unread_image(image: Tag) -> bool:
    """Whether a reader sees a picture for which no text stands, other than one that only decorates."""
    alternative = image.get("alt")
    if alternative is not None and str(alternative).strip():
        return _FILE_NAME.fullmatch(str(alternative).strip()) is not None
    if is_tiny(image):
        return False
    source = str(image.get("src") or "")
    return source.startswith("cid:") or (alternative is None and bool(source))


def is_tiny(tag: Tag) -> bool:
    """Whether what the element shows is too small to hold anything: a spacer, or what only counts."""
    return any(_TINY.fullmatch(str(tag.get(side) or "")) for side in ("width", "height"))


def _image(image: Tag) -> str:
    return str(image.get("alt") or "")


def _input(field: Tag) -> str:
    kind = str(field.get("type") or "text").lower()
    if kind in ("checkbox", "radio"):
        return "[x]" if "checked" in field.attrs else "[ ]"
    if kind == "image":
        return _image(field)
    return "" if kind in _WITHOUT_VALUE else str(field.get("value") or "")


def _select(select: Tag) -> str:
    """What can be chosen: the options, as they stand in the opened list."""
    texts: list[str] = []
    for option in select.find_all(["option", "optgroup"]):
        label = option.get("label") or (option.get_text() if option.name == "option" else "")
        if label and str(label).strip():
            texts.append(" ".join(str(label).split()))
    return ", ".join(texts)


def _textarea(area: Tag) -> str:
    return " ".join(area.get_text().split())


def _formula(math: Tag) -> str:
    """A formula on one line, the way a person would type it, else the notation it was made from."""
    return _linear(math, 0).strip() or str(math.get("alttext") or "")


def _linear(element: Tag, depth: int) -> str:
    name = element.name
    parts = _tags(element)
    if not parts:
        text = " ".join(element.get_text().split())
        return f" {text} " if name == "mo" and text in _OPERATORS else text
    if depth > _DEEPEST_FORMULA:
        return element.get_text(" ")
    if name == "semantics":
        parts = parts[:1]
    texts = [_linear(part, depth + 1) for part in parts if not part.name.startswith("annotation")]
    if name in ("msup", "mover") and len(texts) == 2:
        return texts[0] + raised(texts[0], texts[1].strip())
    if name in ("msubsup", "munderover") and len(texts) == 3:
        return f"{texts[0]}_{_group(texts[1])}^{_group(texts[2])}"
    if name == "munder" and len(texts) == 2:
        return f"{texts[0]}_{_group(texts[1])}"
    if name == "mfrac" and len(texts) == 2:
        return f"{_group(texts[0])}/{_group(texts[1])}"
    if name == "msqrt":
        return f"√{_group(''.join(texts))}"
    if name == "mroot" and len(texts) == 2:
        return f"√[{texts[1].strip()}]{_group(texts[0])}"
    if name in ("mtr", "mtable"):
        return (" " if name == "mtr" else "; ").join(texts)
    return "".join(texts)


def _group(text: str) -> str:
    """A part of a formula, in parentheses where it is more than one number or name."""
    text = text.strip()
    return text if text.isalnum() else f"({text})"


def _drawing(svg: Tag) -> str:
    """The words of a drawing; each text stands apart."""
    from bs4.element import NavigableString, Tag

    words: list[str] = []
    stack: list[tuple[Iterator[object], bool]] = [(iter(svg.contents), False)]
    while stack:
        children, is_text = stack[-1]
        for child in children:
            if type(child) is NavigableString and is_text:
                words.append(child)
            elif isinstance(child, Tag) and child.name not in _NOT_DRAWN:
                if child.name != "tspan" or not {"x", "y", "dy"}.isdisjoint(child.attrs):
                    words.append(" ")
                stack.append((iter(child.contents), is_text or child.name in ("text", "foreignobject")))
                break
        else:
            stack.pop()
    return "".join(words)


def _tags(element: Tag) -> list[Tag]:
    from bs4.element import Tag

    return [child for child in element.contents if isinstance(child, Tag)]


REPLACED: Final[dict[str, Callable[[Tag], str]]] = {
    "img": _image,
    "input": _input,
    "math": _formula,
    "select": _select,
    "svg": _drawing,
    "textarea": _textarea,
}
"""What a reader sees of each of these elements, whatever stands in it."""
