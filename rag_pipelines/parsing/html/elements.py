"""The elements of an HTML tree by name, and which elements hold which, from one pass over the tree.

What belongs here: answers that would else cost a search below an element. A page may nest elements
20,000 deep, and a search below each of them takes time that grows with the square of that. What does
not: what an element means (`boilerplate`, `html`).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import PageElement, Tag


class Elements:
    """The elements of `soup`, found when the first question is asked; the tree must not change after."""

    def __init__(self, soup: BeautifulSoup) -> None:
        self._soup = soup
        self._holders: dict[frozenset[str], set[int]] = {}

    def by_name(self, name: str) -> list[Tag]:
        """The elements of one name, in document order."""
        return self._by_name.get(name, [])

    def first(self, name: str) -> Tag | None:
        """The first element of one name."""
        return next(iter(self.by_name(name)), None)

    def hold(self, tag: Tag, names: frozenset[str]) -> bool:
        """Whether an element of one of these names stands somewhere below `tag`."""
        holders = self._holders.get(names)
        if holders is None:
            holders = self._holders[names] = self._holders_of(names)
        return id(tag) in holders

    def _holders_of(self, names: frozenset[str]) -> set[int]:
        """The `id()` of all elements above those of these names."""
        holders: set[int] = set()
        for name in names:
            for tag in self.by_name(name):
                above = tag.parent
                while above is not None and id(above) not in holders:
                    holders.add(id(above))
                    above = above.parent
        return holders

    @cached_property
    def _by_name(self) -> dict[str, list[Tag]]:
        from bs4.element import Tag

        by_name: dict[str, list[Tag]] = defaultdict(list)
        element: PageElement | None = next(iter(self._soup.contents), None)
        while element is not None:
            if isinstance(element, Tag):
                by_name[element.name].append(element)
            element = element.next_element
        return by_name
