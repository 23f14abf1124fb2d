"""Everything that the options choose, space by space, and what changed of it.

What belongs here: the walk over spaces and what is attached to their pages, what it failed at, and
the choice of what is a document. What does not: requests (`site`), items (`connector`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.confluence.content import BLOG_POST, PAGE, Content, Ref, Space
from rag_pipelines.connectors.confluence.site import ConfluenceSite, ListingPart
from rag_pipelines.connectors.confluence.tree import Tree
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, MissingEntityError, RagError


class Census:
    """One walk over a site. `names` are the spaces' names by key; `newest` the last change of each."""

    def __init__(self, site: ConfluenceSite) -> None:
        self.tree = Tree(site)
        self.names: dict[str, str] = {}
        self.newest: dict[str, datetime] = {}
        self.failed: set[str] = set()
        """Keys of spaces of which something could not be listed."""
        self._site = site
        self._options = site.options
        self._seen: set[Ref] = set()
        self._undescribed: set[str] = set()

    def spaces(self) -> Iterator[Space | Failure]:
        """The chosen spaces; a chosen one that is not there, or a list that breaks off, is a failure."""
        try:
            for space in self._site.spaces():
                if space.key not in self.names:
                    self.names[space.key] = space.name
                    yield space
        except CredentialError:
            raise
        except RagError as error:
            whole = not self.names
            yield Failure(error=error, entity=self._options.url if whole else "spaces", whole=whole)
            return
        for key in self._options.spaces:
            if key not in self.names and self._options.chooses(key):
                unseen = ForbiddenEntityError(
                    f"space {key!r} is not among those that the account sees; permit it to view the space, "
                    "or take the key out of spaces if the space is gone"
                )
                yield Failure(error=unseen, entity=f"space {key}")

    def entries(self, described: bool) -> Iterator[Content | Failure]:
        """Every document's content once. `described`: their pages' labels and readers are in the tree."""
        spaces = []
        for space in self.spaces():
            if isinstance(space, Failure):
                yield space
            else:
                spaces.append(space)
                yield from self._pages(space, described)
        for part in self._site.list_attached(spaces):
            yield from self._list_attached(part)
        yield from self.tree.list_unreadable()
        if self._site.search_fault is not None:
            yield Failure(error=self._site.search_fault, entity="content search", hides_documents=False)

    def choice(self, contents: Iterable[Content]) -> Iterator[Content]:
        """Those of `contents` that are documents by space, status, root and label; their pages are known."""
        for content in contents:
            page = self.page_of(content)
            if page is None or not self._is_chosen(page) or not self._options.chooses_kind(content.ref.type):
                continue
            if content.container is None or content.status == "current":
                yield content

    def page_of(self, content: Content) -> Content | None:
        """The page or post that a content is or belongs to."""
        if content.ref.type in (PAGE, BLOG_POST):
            return self.tree.get(content.ref)
        return self.tree.get(content.container) if content.container is not None else None

    def changes(self, space: Space, since: datetime | None) -> Iterator[Content | Failure]:
        """What was modified in a space at `since` or later, or everything; labels and readers are known."""
        found: list[Content] = []
        try:
            for content in self._new(self._site.list_changed(space.key, since), (space.key,)):
                if isinstance(content, Failure):
                    yield content
                elif since is None or content.modified_at is None or content.modified_at >= since:
                    found.append(content)
                    self._record_newest(content, space.key)
                    if content.container is None:
                        self.tree.add(content)
            pages = [(content.container or content.ref, *content.above) for content in found]
            self.tree.describe(chain.from_iterable(pages))
        except CredentialError:
            raise
        except RagError as error:
            yield self._record_failure(error, f"changes of space {space.key}", (space.key,))
            return
        yield from self.choice(found)
        yield from self.tree.list_unreadable()

    def _pages(self, space: Space, described: bool) -> Iterator[Content | Failure]:
        found: list[Content] = []
        try:
            for content in self._new(self._site.contents(space, described), (space.key,)):
                if isinstance(content, Failure):
                    yield content
                else:
                    self.tree.add(content)
                    found.append(content)
        except CredentialError:
            raise
        except RagError as error:
            yield self._record_failure(error, f"space {space.key}", (space.key,))
        try:
            if described:
                self.tree.describe([content.ref for content in found])
        except CredentialError:
            raise
        except RagError as error:
            self._undescribed.add(space.key)
            yield self._record_failure(error, f"access of space {space.key}", (space.key,))
            return
        for content in found:
            self._record_newest(content, space.key)
        yield from self.choice(found)

    def _list_attached(self, part: ListingPart) -> Iterator[Content | Failure]:
        try:
            for content in self._new(part.contents(), part.spaces):
                if isinstance(content, Failure):
                    yield content
                    continue
                page = self.page_of(content)
                if page is not None and page.space not in self._undescribed:
                    self._record_newest(content, page.space)
                    yield from self.choice([content])
        except CredentialError:
            raise
        except RagError as error:
            yield self._record_failure(error, part.name, part.spaces)

    def _new(
        self, entries: Iterator[Content | Failure], spaces: tuple[str, ...]
    ) -> Iterator[Content | Failure]:
        """The entries that no answer held before. One that may hide a document fails its spaces."""
        for entry in entries:
            if isinstance(entry, Content):
                ref: Ref | None = entry.ref
            else:
                ref = Ref.of(entry.external_id or "")
                if entry.entity is not None:
                    self.failed.update(spaces)
            if ref is None or ref not in self._seen:
                yield entry
            if ref is not None:
                self._seen.add(ref)

    def _record_newest(self, content: Content, space: str) -> None:
        if content.modified_at is not None:
            self.newest[space] = max(content.modified_at, self.newest.get(space, content.modified_at))

    def _record_failure(self, error: RagError, entity: str, spaces: Sequence[str]) -> Failure:
        self.failed.update(spaces)
        return Failure(error=error, entity=entity)

    def _is_chosen(self, page: Content) -> bool:
        options = self._options
        if page.status not in options.statuses or (page.space and not options.chooses(page.space)):
            return False
        if not options.chooses_kind(page.ref.type):
            return False
        if (options.labels or options.exclude_labels) and not options.chooses_labels(page.labels or ()):
            return False
        above = (page.ref.id, *(node.ref.id for node in self.tree.ancestors(page)))
        return not options.roots or any(id in options.roots for id in above)


def existing(site: ConfluenceSite, refs: Sequence[Ref]) -> set[Ref]:
    """Which of `refs` a listing should name. What may not be seen counts as existing."""
    census = Census(site)
    found: dict[Ref, Content] = {}
    alive: set[Ref] = set()

    def ask(some: Iterable[Ref]) -> None:
        for ref, answer in site.standing(sorted(set(some))):
            if isinstance(answer, Content):
                found[ref] = answer
            elif not isinstance(answer, MissingEntityError):
                alive.add(ref)

    ask(refs)
    containers = {one.container for one in found.values() if one.container is not None}
    ask(containers - found.keys())
    alive.update(ref for ref, one in found.items() if one.container is not None and one.container in alive)
    options = site.options
    pages = [one for one in found.values() if one.container is None]
    for page in pages:
        if options.archived or not page.space or not site.is_archived(page.space):
            census.tree.add(page)
    if options.roots or options.labels or options.exclude_labels:
        census.tree.describe([page.ref for page in pages if census.tree.get(page.ref)])
    alive.update(one.ref for one in census.choice(found.values()))
    return alive.intersection(refs)
