"""Pages with what stands above them: where a page is, and who may read it.

What belongs here: the page tree of one run, its gaps filled by asking, and the access that follows.
What does not: listing (`census`), and who stands behind a principal (`directory`).

A page may be read by whom the space lets in, and its own restriction, and that of every page above:
a conjunction. An ancestor that cannot be read may be restricted, so what is below it is closed. A draft
is its author's alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.confluence.content import Content, Ref
from rag_pipelines.connectors.confluence.site import ONE_CONTENT, ConfluenceSite
from rag_pipelines.errors import RagError
from rag_pipelines.model import CLOSED, AccessRule


class Tree:
    """The pages of one run, by id; comments and attachments are not in it."""

    def __init__(self, site: ConfluenceSite) -> None:
        self._site = site
        self._nodes: dict[str, Content] = {}
        self._closed: dict[str, RagError] = {}
        self._told: set[str] = set()

    def add(self, content: Content) -> None:
        """Put in a page as it was listed, perhaps in place of what was known."""
        self._nodes[content.ref.id] = msgspec.structs.replace(content, above=())
        self._closed.pop(content.ref.id, None)

    def get(self, ref: Ref) -> Content | None:
        return self._nodes.get(ref.id)

    def describe(self, refs: Iterable[Ref]) -> None:
        """Ask for labels and readers of these pages and of all above them, as far as they are not known."""
        waiting = {ref.id: ref for ref in refs}
        done: set[str] = set()
        while waiting:
            above: set[Ref] = set()
            for ref, answer in self._site.describe([*filter(self._is_unknown, waiting.values())]):
                self._learn(ref, answer)
                if isinstance(answer, Content):
                    above.update(answer.above)
            nodes = (self._nodes.get(id) for id in waiting)
            above.update(node.parent for node in nodes if node is not None and node.parent is not None)
            done |= waiting.keys()
            waiting = {ref.id: ref for ref in sorted(above) if ref.id not in done}

    def access(self, page: Content) -> AccessRule:
        """Who may read a page and what belongs to it; `CLOSED` where that is not known."""
        clauses: list[tuple[str, ...]] = [(self._site.principals.space(page.space),)]
        for node in self._upward(page):
            if node is None or node.readers is None:
                return CLOSED
            if node.readers:
                clauses.append(node.readers)
        if page.status == "draft":
            if page.author_id is None:
                return CLOSED
            clauses.append((self._site.principals.account(page.author_id),))
        return AccessRule(tuple(clauses)).normalised()

    def ancestors(self, page: Content) -> list[Content]:
        """The known pages above, the topmost first."""
        return [node for node in self._upward(page) if node is not None][:0:-1]

    def list_unreadable(self) -> Iterator[Failure]:
        """Whose readers could not be read, each told once. No document is hidden by that."""
        for id, error in self._closed.items():
            if id not in self._told:
                self._told.add(id)
                yield Failure(error=error, entity=f"access of content {id}", hides_documents=False)

    def _upward(self, page: Content) -> Iterator[Content | None]:
        """The page and those above it, the topmost last; None for one that cannot be read."""
        seen: set[str] = set()
        node: Content | None = page
        while node is not None and node.ref.id not in seen:
            yield node
            seen.add(node.ref.id)
            if node.parent is None:
                return
            node = self._nodes.get(node.parent.id)
        yield None

    def _is_unknown(self, ref: Ref) -> bool:
        node = self._nodes.get(ref.id)
        return ref.id not in self._closed and (node is None or node.readers is None)

    def _learn(self, ref: Ref, answer: Content | RagError) -> None:
        known = self._nodes.get(ref.id)
        if isinstance(answer, RagError):
            self._closed[ref.id] = answer
            return
        node = answer
        if known is not None:
            node = msgspec.structs.replace(known, labels=answer.labels, readers=answer.readers)
        if node.readers is None:
            try:
                node = msgspec.structs.replace(node, readers=self._site.readers(ref))
            except ONE_CONTENT as error:
                self._closed[ref.id] = error
        self._nodes[ref.id] = msgspec.structs.replace(node, above=())
