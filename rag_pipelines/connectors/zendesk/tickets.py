"""Tickets with their public comments, and what agents say among themselves: rows of an export into documents.

What belongs here: which tickets there are. What does not: comments (`contents`), who is an agent
(`directory`).

The cursor-based export names every ticket, archived ones too, in the order of changes; a deleted one has the
status ``deleted``. A ticket that changes while pages are read comes again: the position then stays before
that page, so that the next run reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from rag_pipelines.connectors.base import Failure, Item, Removed, Window
from rag_pipelines.connectors.children import child_id, child_of
from rag_pipelines.connectors.times import read_time
from rag_pipelines.connectors.zendesk.access import Rules
from rag_pipelines.connectors.zendesk.articles import HTML, segment
from rag_pipelines.connectors.zendesk.contents import Comments
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.connectors.zendesk.site import Row, ZendeskSite
from rag_pipelines.errors import CorruptDocumentError, CredentialError, GoneError, RagError, TransientError

NOTES = "notes"
_DELETED = "deleted"


class Tickets:
    """The tickets of one run; nothing is named twice."""

    def __init__(
        self, site: ZendeskSite, options: ZendeskOptions, rules: Rules, window: Window = Window()
    ) -> None:
        self._site = site
        self._options = options
        self._rules = rules
        self._window = window
        self._comments = Comments(site, keep=options.private_comments == "agents")
        self.position = ""
        """Where the next run continues; meaningless before `entries` has ended."""
        self.interrupted = False

    def entries(self, cursor: str | None) -> Iterator[Item | Failure | Removed]:
        """Tickets that changed since `cursor`, or all. Raises `GoneError` where it is not continued."""
        self.position = cursor or ""
        seen: set[int] = set()
        before, again = cursor or "", None
        try:
            for page in self._site.export("tickets", cursor):
                rows = {row["id"]: row for row in page.rows}
                if again is None and seen & rows.keys():
                    again = before
                for one in rows.keys() - seen:
                    yield from self._ticket(rows[one])
                seen.update(rows)
                before = page.after
            self.position = before if again is None else again
        except (CredentialError, GoneError):
            raise
        except TransientError as error:
            self.interrupted = True
            yield self._failure(error, seen)
        except RagError as error:
            if cursor:
                raise GoneError(f"the export of tickets cannot be continued: {error}") from error
            yield self._failure(error, seen)

    def _failure(self, error: RagError, seen: set[int]) -> Failure:
        return Failure(error=error, entity="tickets", whole=not (seen or self._options.articles))

    def _ticket(self, row: Row) -> Iterator[Item | Failure | Removed]:
        identity = f"ticket/{row['id']}"
        notes_id = child_id(identity, NOTES, "private")
        wants_notes = self._options.private_comments == "agents"
        try:
            if row["status"] == _DELETED:
                yield Removed(identity, children=True)
                return
            item = self._item(row)
            notes = self._notes(row, item)
            public = row["is_public"]
        except KeyError as error:
            for one in (identity, notes_id) if wants_notes else (identity,):
                said = f"Zendesk's answer lacks the field {error}"
                yield Failure(error=CorruptDocumentError(said), external_id=one)
            return
        if not self._window.holds(item.modified_at):
            return
        yield item if public else Removed(identity)
        if wants_notes:
            yield notes

    def _item(self, row: Row) -> Item:
        title = row["subject"] or ""
        known = {"type": "ticket", "status": row["status"], "tags": list(row.get("tags") or ())}
        return Item(
            external_id=f"ticket/{row['id']}",
            token=row["updated_at"],
            load=partial(self._comments.text, row["id"], True),
            name=f"#{row['id']}",
            path=f"tickets/{segment(title or str(row['id']))}",
            url=f"{self._options.url}/agent/tickets/{row['id']}",
            title=title or None,
            media_type=HTML,
            modified_at=read_time(row["updated_at"]),
            access=self._rules.ticket(row),
            metadata={name: value for name, value in known.items() if value},
        )

    def _notes(self, row: Row, item: Item) -> Item:
        """The private comments; empty where there are none, which the export does not say."""
        child = child_of(
            item,
            NOTES,
            "private",
            name="private comments",
            token=item.token,
            load=partial(self._comments.text, row["id"], False),
            media_type=HTML,
            title=item.title,
        )
        return msgspec.structs.replace(child, access=self._rules.notes(row))
