"""Zendesk as a source: what the contract of a connector asks for, put together from the parts beside it.

What belongs here: the life of a run, the cursor, `existing` and `check`. What does not: requests (`site`),
listing (`help_center`, `tickets`), contents (`contents`), members (`directory`).

The cursor holds by help center up to when changes were seen, by Zendesk's own clock, where the export of
tickets stands, and what a change of options would make another listing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import msgspec

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Finding,
    Group,
    Removed,
    Window,
    read_cursor,
)
from rag_pipelines.connectors.tally import Tally
from rag_pipelines.connectors.zendesk.access import Names, Rules
from rag_pipelines.connectors.zendesk.checks import ADMIN, findings
from rag_pipelines.connectors.zendesk.directory import GroupDirectory
from rag_pipelines.connectors.zendesk.existence import Existence
from rag_pipelines.connectors.zendesk.help_center import HelpCenter
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.connectors.zendesk.site import ZendeskSite
from rag_pipelines.connectors.zendesk.tickets import Tickets
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, RagError, TransientError, UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form

_OPTIONS_OF_DOCUMENTS = {
    "url", "directory", "articles", "brands", "locales", "sign_in", "segment", "attachments", "tickets",
    "private_comments", "max_bytes",
}  # fmt: skip
"""Options that decide which documents there are and who may see them."""


class ZendeskCursor(msgspec.Struct, frozen=True):
    """The options a listing was made with, until when each help center was seen, and where tickets stand."""

    options: str
    since: dict[str, int]
    tickets: str


CURSOR = Form("cursor of zendesk", ZendeskCursor)


class ZendeskConnector(Connector):
    """Lists the articles and tickets of a Zendesk account that its options choose, with who may read them."""

    kind = "zendesk"
    capabilities = Capabilities(changes=True, permissions=True, groups=True, lookup=True)
    options_type = ZendeskOptions

    def __init__(self, source: str, options: ZendeskOptions) -> None:
        super().__init__(source, options)

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        yield from self._listed(None, window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self._options:
            raise UsageError("options of the source have changed; list it fully")
        yield from self._listed(before, Window())

    def existing(self, ids: Sequence[str]) -> set[str]:
        centers = [self._sites[one] for one in self.options.help_centers]
        try:
            return Existence(self._account, centers, self.options).of(ids)
        except (CredentialError, TransientError):
            raise
        except (RagError, KeyError) as error:
            raise TransientError(f"it cannot be said which documents still exist: {error}") from error

    def groups(self) -> Iterator[Group | Failure | Complete]:
        directory = GroupDirectory(
            self._account, self._names, articles=self.options.articles, tickets=self.options.tickets
        )
        yield from directory.groups()

    def check(self) -> list[Finding]:
        return list(findings(self._sites, self.options))

    def close(self) -> None:
        if "_sites" in vars(self):
            for site in self._sites.values():
                site.client.close()

    def _listed(self, before: ZendeskCursor | None, window: Window) -> Iterator[Entry]:
        """Everything, or what changed since `before`."""
        tally = Tally()
        if before is None and (unseen := self._unseen()) is not None:
            tally.add(unseen)
            yield unseen
        rules = Rules(self._names, self.options.sign_in, self.options.segment)
        since: dict[str, int] = {}
        interrupted = False
        for address in self.options.help_centers:
            center = HelpCenter(self._sites[address], self.options, rules, window)
            known = 0 if before is None else before.since.get(address, 0)
            try:
                since[address] = max(center.newest(), known)
            except CredentialError:
                raise
            except RagError as error:
                interrupted = True
                failure = Failure(error=error, entity=address, whole=len(self.options.help_centers) == 1)
                tally.add(failure)
                yield failure
                continue
            back = max(known - int(self.options.overlap * 60), 0)
            entries = center.everything() if before is None else center.changed(back)
            yield from self._counted(entries, tally, full=before is None)
            interrupted = interrupted or center.interrupted
        tickets = Tickets(self._account, self.options, rules, window)
        if self.options.tickets:
            entries = tickets.entries(before.tickets if before else None)
            yield from self._counted(entries, tally, full=before is None)
        position = None
        if not (interrupted or tickets.interrupted or window):
            position = CURSOR.encode(ZendeskCursor(self._options, since, tickets.position))
        yield Complete(tally.count, position, full=before is None and not window and tally.whole)

    def _unseen(self) -> Failure | None:
        """That Zendesk leaves out, without a word, what the login may not see; None for an admin."""
        try:
            user = self._account.get("users/me").get("user") or {}
        except CredentialError:
            raise
        except RagError as error:
            return Failure(error=error, entity="role of the login")
        if user.get("role") == "admin":
            return None
        said = f"the login is of role {user.get('role')}, to whom Zendesk does not show everything"
        return Failure(error=ForbiddenEntityError(f"{said}; {ADMIN}"), entity="what the login may not see")

    def _counted(self, entries: Iterator[Entry], tally: Tally, *, full: bool) -> Iterator[Entry]:
        """`entries`, which a full listing has no removals among."""
        for entry in entries:
            if isinstance(entry, Removed):
                if not full:
                    yield entry
                continue
            tally.add(entry)
            yield entry

    @cached_property
    def _sites(self) -> dict[str, ZendeskSite]:
        return ZendeskSite.all_of(self.options)

    @property
    def _account(self) -> ZendeskSite:
        return self._sites[self.options.url]

    @property
    def _names(self) -> Names:
        return Names(self.options.directory_name)

    @property
    def _options(self) -> str:
        return fingerprint(self.options.model_dump(mode="json", include=_OPTIONS_OF_DOCUMENTS))
