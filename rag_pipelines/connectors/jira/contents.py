"""The contents of a source's documents: many issues in one request, attachments one by one.

What belongs here: reading, ahead of time or when asked, and turning failures into errors of a document. What
does not: what a content looks like (`issues`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rag_pipelines.connectors.ahead import Kept
from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.jira import issues
from rag_pipelines.connectors.jira.issues import EntityId
from rag_pipelines.connectors.jira.options import JiraOptions
from rag_pipelines.connectors.jira.schemes import Schemes
from rag_pipelines.connectors.jira.scope import JiraScope
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.errors import CredentialError, FetchError, MissingEntityError, RagError, UsageError


class Contents:
    """Reads documents of one scope. What `prefetch` read is given out once."""

    def __init__(self, site: JiraSite, options: JiraOptions, schemes: Schemes, scope: JiraScope) -> None:
        self._site = site
        self._options = options
        self._schemes = schemes
        self._fields = scope.content_fields
        self._chosen = scope.chosen
        self._read: Kept[str, bytes] = Kept()

    def prefetch(self, external_ids: Iterable[str]) -> None:
        """Read the issues and threads among these; what cannot be read here fails when it is loaded."""
        wanted: dict[str, list[EntityId]] = {}
        for external_id in external_ids:
            place = EntityId.of(external_id)
            if place is not None and place.kind != "attachment":
                wanted.setdefault(place.issue_id, []).append(place)
        read: dict[str, bytes] = {}
        with _best_effort():
            for issue in self._site.by_ids(wanted, self._fields):
                with _best_effort():
                    read.update(self._contents(issue, wanted.get(str(issue["id"]), ())))
        self._read.keep(read)

    def load(self, external_id: str) -> bytes:
        """The content. Raises `DocumentError`, `ForbiddenEntityError`, `TransientError`."""
        ready = self._read.take(external_id)
        if ready is not None:
            return ready
        place = EntityId.of(external_id)
        assert place is not None, external_id
        with _as_document(external_id):
            read = dict(self._contents(self._site.issue(place.issue_id, self._fields), [place]))
        content = read.get(external_id)
        if content is None:
            raise FetchError(f"{external_id} has vanished since it was listed")
        return content

    def load_attachment(self, external_id: str, url: str, size: int | None) -> bytes:
        """The bytes at the `content` of an attachment, of which Jira promised `size`."""
        with _as_document(external_id):
            return self._site.client.get_bytes(url, self._options.max_bytes, size)

    def _contents(self, issue: Json, places: Iterable[EntityId]) -> Iterator[tuple[str, bytes]]:
        """The contents of an issue's documents, from one answer."""
        key, fields, adf = issue["key"], issue["fields"], self._site.is_adf
        comments = self._site.comments(issue) if self._options.comments else []
        threads = issues.threads(comments, lambda one: self._schemes.resolve_role(fields, one))
        by_name = {str(visibility): thread for visibility, thread in threads.items() if visibility}
        for place in places:
            if not place.kind:
                open_comments = threads.get(None, [])
                yield str(place), issues.issue_content(key, fields, open_comments, self._chosen, adf)
            elif place.part in by_name:
                yield str(place), issues.thread_content(key, fields, by_name[place.part], adf)


@contextmanager
def _best_effort() -> Iterator[None]:
    """What fails here is tried again, and fails with its reason, when the document is loaded."""
    try:
        yield
    except CredentialError:
        raise
    except (RagError, KeyError, TypeError):
        pass


@contextmanager
def _as_document(external_id: str) -> Iterator[None]:
    """An answer that rules the document out is an error of that document."""
    try:
        yield
    except (MissingEntityError, UsageError) as error:
        raise FetchError(f"{external_id} cannot be read: {error}") from error
