"""The elements of Confluence's storage format that are not macros, each turned into the HTML that shows it.

What belongs here: links, images, mentions, emoticons, dates, tasks and what the new editor adds
(``ac:adf-…``). What does not: macros (`confluence_macros`), the order of the work (`confluence_storage`).

A function is given an element whose inner elements have been turned already. It looks at attributes and
children only and never further below, so that the work does not grow with the square of the depth. It
hides only what cannot hold text of the page, also where an element was never closed.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4.element import Tag

_RESOURCE = "ri:resource"
"""What a resource is renamed to: HTML has no such element, so it is read as a part of the line."""

_NAMES_OF_RESOURCES = (
    "ri:content-title", "ri:filename", "ri:display-name", "ri:username", "ri:account-id", "ri:userkey",
    "ri:value", "ri:parameter", "ri:space-key",
)  # fmt: skip
"""The attributes that name a resource, the best first. ``ri:display-name`` is not Confluence's: a connector
that knows the name of a user adds it."""

_RELATIVE = ("@", "currentSpace()")
"""How the names begin that mean "this page", "the home page" or "this space"."""

_LINK_BODIES = frozenset({"ac:link-body", "ac:plain-text-link-body"})
_NOTES_ON_TASKS = frozenset({"ac:task-id", "ac:task-uuid", "ac:task-status"})
_WRITTEN_IN_NEW_EDITOR = frozenset({"ac:adf-content", "ac:adf-node"})
_NOT_IN_LINE = frozenset({"ul", "ol", "li", "table", "pre"})


def attribute(tag: Tag, name: str) -> str:
    """The value of an attribute, also where its prefix is missing; "" where there is none."""
    return str(tag.get(name) or tag.get(name.partition(":")[2]) or "").strip()


def children(tag: Tag, names: Container[str]) -> list[Tag]:
    """The child elements that have one of these names."""
    from bs4.element import Tag

    return [inner for inner in tag.contents if isinstance(inner, Tag) and inner.name in names]


def hide_leaf(tag: Tag) -> None:
    """Mark an element as one that readers do not see, unless it holds others."""
    from bs4.element import Tag

    if not any(isinstance(inner, Tag) for inner in tag.contents):
        tag["hidden"] = ""


def show_inline(tag: Tag) -> None:
    """An element that only marks the text inside it."""
    tag.name = "span"


def show_resource(resource: Tag) -> None:
    """A page, attachment, user, space or address by its name, where no link or image is made of it."""
    above = resource.parent.name if resource.parent is not None else ""
    if above not in ("ac:link", "ac:image") and not above.startswith("ri:"):
        resource.insert(0, _name(resource))
    resource.name = _RESOURCE


def show_link(link: Tag) -> None:
    """A link as its text or, where it has none, as the name of what it leads to, else of the anchor.

    It leads to where the notation of Confluence's old editor says: ``SPACE:Title#anchor``, ``^file.pdf``.
    """
    bodies = children(link, _LINK_BODIES)
    if not any(body.contents for body in bodies):
        names = [_name(resource) for resource in children(link, {_RESOURCE})]
        link.insert(0, " ".join(filter(None, names)) or attribute(link, "ac:anchor"))
    for tag in (link, *bodies):
        tag.name = "span"
    if target := _target(link):
        link.name = "a"
        link["href"] = target


def _target(link: Tag) -> str:
    place = attribute(link, "ac:anchor")
    place = f"#{place}" if place else ""
    for resource in children(link, {_RESOURCE}):
        names = ("ri:filename", "ri:content-title", "ri:space-key", "ri:value")
        file, title, space, address = (attribute(resource, name) for name in names)
        if file:
            return f"^{file}"
        absolute = [name for name in (space, title) if name and not name.startswith(_RELATIVE)]
        if absolute or address:
            return (":".join(absolute) or address) + place
    return place


def show_image(image: Tag) -> None:
    """An image as its description and the name of its file in brackets; a caption follows on its own."""
    described = dict.fromkeys(filter(None, (attribute(image, "ac:alt"), attribute(image, "ac:title"))))
    description = ", ".join(described)
    files = filter(None, (attribute(tag, "ri:filename") for tag in children(image, {_RESOURCE})))
    file = next(files, "")
    image.name = "span"
    image.insert(0, f" {description} ({file}) " if description and file else f" {description or file} ")


def show_caption(caption: Tag) -> None:
    """What stands below an image."""
    caption.name = "figcaption"


def show_emoticon(emoticon: Tag) -> None:
    """An emoticon as its character, or as its name between colons where it has none."""
    fallback = attribute(emoticon, "ac:emoji-fallback") or attribute(emoticon, "ac:emoji-shortname")
    name = attribute(emoticon, "ac:name")
    emoticon.name = "span"
    emoticon.insert(0, f" {fallback or (name and f':{name}:')} ")


def show_time(time: Tag) -> None:
    """A date as the editor writes it, without a text of its own."""
    if not time.contents:
        time.insert(0, attribute(time, "datetime"))


def show_task_list(tasks: Tag) -> None:
    """A list of tasks."""
    tasks.name = "ul"


def show_task(task: Tag) -> None:
    """A task as an item of a list that begins with "[x]" or "[ ]"."""
    status = next((tag.contents[0] for tag in children(task, {"ac:task-status"}) if tag.contents), None)
    for note in children(task, _NOTES_ON_TASKS):
        hide_leaf(note)
    for body in children(task, {"ac:task-body"}):
        body.name = "span"
        if status is not None:
            _start_of_text(body).insert(0, "[x] " if str(status).strip() == "complete" else "[ ] ")
    task.name = "li"


def show_extension(extension: Tag) -> None:
    """What the new editor wrote, without the copy of it for the old one."""
    nodes = children(extension, {"ac:adf-node"})
    if any(children(node, _WRITTEN_IN_NEW_EDITOR) for node in nodes):
        for copy in children(extension, {"ac:adf-fallback"}):
            copy["hidden"] = ""


def show_attribute(tag: Tag) -> None:
    """An attribute of what the new editor wrote: only titles are for readers."""
    if attribute(tag, "key") == "title":
        tag.name = "p"
    else:
        hide_leaf(tag)


def _name(resource: Tag) -> str:
    """The name of a resource; "" where it says "this page" or only gives a number."""
    names = filter(None, (attribute(resource, name) for name in _NAMES_OF_RESOURCES))
    name = next(names, "")
    return "" if name.startswith(_RELATIVE) else name


def _start_of_text(tag: Tag) -> Tag:
    """The element at or below `tag` in which its text begins."""
    from bs4.element import Tag

    while True:
        first = next((inner for inner in tag.contents if isinstance(inner, Tag) or str(inner).strip()), None)
        if not isinstance(first, Tag) or first.name in _NOT_IN_LINE or first.name == "br":
            return tag
        tag = first
