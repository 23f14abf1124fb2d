"""One listing of a ServiceNow instance: bases into pages of articles, articles into documents with their
children.

What belongs here: the order of requests of a listing, and what becomes of failures. What does not: single
requests (`site`), which articles changed (`feed`), a document's content (`contents`).

Blocks are listed below each article that uses them, because who sees one depends on both. Whether everything
was seen is told by counts: a row that an access rule hides, or that a listing passed over, makes it
incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from rag_pipelines.connectors.base import Failure, Item, Window
from rag_pipelines.connectors.children import child_id, child_of
from rag_pipelines.connectors.paths import media_type
from rag_pipelines.connectors.servicenow import articles
from rag_pipelines.connectors.servicenow.access import Rules
from rag_pipelines.connectors.servicenow.contents import ITEMS, Contents, Text
from rag_pipelines.connectors.servicenow.options import ServiceNowOptions
from rag_pipelines.connectors.servicenow.places import Places
from rag_pipelines.connectors.servicenow.scope import Scope, hidden_bases
from rag_pipelines.connectors.servicenow.site import Page, Row, ServiceNowSite, hidden_rows
from rag_pipelines.connectors.servicenow.templates import ARTICLES
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import (
    CorruptDocumentError,
    CredentialError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.model import CLOSED

_GENERIC = frozenset({"", "application/octet-stream", "binary/octet-stream"})


E = TypeVar("E")


class Parts(NamedTuple):
    """What a listing works with."""

    site: ServiceNowSite
    options: ServiceNowOptions
    scope: Scope
    rules: Rules
    contents: Contents
    unread: list[str]
    """Fields that narrow the readers of articles and cannot be read: then nobody reads any article."""


class ArticleListing:
    """Lists the documents of one run; nothing is named twice."""

    def __init__(self, parts: Parts, window: Window) -> None:
        self._site = parts.site
        self._options = parts.options
        self._scope = parts.scope
        self._rules = parts.rules
        self._contents = parts.contents
        self._window = window
        self._places = Places(parts.site)
        self._seen: set[str] = set()
        self._unread = parts.unread
        self._uses: dict[str, list[str]] | None = None
        self._closed_blocks = False
        self._told: set[str] = set()
        self.interrupted = False
        """Whether something could not be read that a later run can read."""

    def everything(self) -> Iterator[Item | Failure]:
        """Every document of the bases in scope, and of the catalogue where it counts."""
        for missing in self._scope.missing:
            error = UsageError(f"there is no active knowledge base {missing!r} that the account can see")
            yield Failure(error=error, entity=f"knowledge base {missing}")
        if self._scope.hidden:
            yield Failure(error=hidden_bases(), entity="hidden knowledge bases")
        yield from self.notes()
        for chosen in self._scope.ranges():
            yield from self.guarded(self._range([*self._scope.published, chosen]), "articles")
        if self._options.catalogue:
            yield from self.guarded(self._catalogue(), "catalogue items")

    def guarded(self, entries: Iterator[E], entity: str) -> Iterator[E | Failure]:
        """What is listed, and the failure of the rest."""
        try:
            yield from entries
        except CredentialError:
            raise
        except RagError as error:
            self.interrupted = self.interrupted or isinstance(error, TransientError)
            yield Failure(error=error, entity=entity)

    def notes(self) -> Iterator[Failure]:
        """What is to be told of the whole listing."""
        if self._unread:
            fields = ", ".join(self._unread)
            error = UsageError(
                f"access rules hide {fields} of kb_knowledge from the account: articles are closed"
            )
            yield Failure(error=error, entity=f"fields {fields}", hides_documents=False)

    def documents(self, page: Page) -> Iterator[Item | Failure]:
        """A page of articles with their children."""
        yield from self._hidden(page, "kb_knowledge")
        fresh = [row for row in page.rows if articles.article_id(row) not in self._seen]
        self._places.learn(fresh)
        parents: dict[str, Item] = {}
        for row in fresh:
            if articles.article_id(row) not in self._seen:
                entry = self._article(row)
                if isinstance(entry, Item):
                    parents[row["sys_id"]] = entry
                yield from self._once(entry)
        if self._options.attachments:
            yield from self.guarded(self._attachments(parents), "attachments")
        if self._options.blocks:
            yield from self.guarded(self._blocks(parents), "blocks")

    def users_of(self, blocks: Sequence[str]) -> list[str]:
        """The sys_ids of articles that use any of `blocks`."""
        wanted = set(blocks)
        return [article for article, used in self._uses_of_blocks().items() if wanted & set(used)]

    def _range(self, conditions: list[str]) -> Iterator[Item | Failure]:
        """One pass in the order of time, and a count at the end against what was passed over."""
        narrowed = list(conditions)
        if self._window.since is not None:
            narrowed.append(f"sys_updated_on>={articles.stamp(self._window.since)}")
        rows: set[str] = set()
        hidden = False
        for page in self._site.pages("kb_knowledge", narrowed, articles.ARTICLE_FIELDS, by_time=True):
            rows.update(row["sys_id"] for row in page.rows)
            hidden = hidden or page.hidden
            yield from self.documents(page)
        if not hidden and len(rows) < (count := self._site.count("kb_knowledge", narrowed)):
            error = UsageError(f"the instance counts {count} articles and listed {len(rows)}")
            yield Failure(error=error, entity="articles that were not listed")

    def _article(self, row: Row) -> Item | Failure:
        try:
            base = self._scope.bases[row["kb_knowledge_base"]]
            rule = CLOSED if self._unread else self._rules.article(row)
            folders, author = self._places.folders(row["kb_category"]), self._places.author(row["author"])
            load = Text(self._contents, row["sys_class_name"], row["sys_id"])
            return articles.article_item(row, base, folders, author, self._options.url, rule, load)
        except KeyError as error:
            return _corrupt(articles.article_id(row), error)

    def _attachments(self, parents: dict[str, Item]) -> Iterator[Item | Failure]:
        fields = articles.ATTACHMENT_FIELDS
        for _, page in self._site.among("sys_attachment", ["table_sys_id"], list(parents), [], fields):
            yield from self._hidden(page, "sys_attachment")
            for row in page.rows:
                parent = parents.get(row.get("table_sys_id", ""))
                if parent is not None and not row.get("table_name", "").startswith(articles.INLINE_TABLES):
                    yield from self._once(self._attachment(parent, row))

    def _attachment(self, parent: Item, row: Row) -> Item | Failure:
        identity, limit = child_id(parent.external_id, "attachment", row["sys_id"]), self._options.max_bytes
        try:
            name, kind = row["file_name"], row["content_type"]
            size = int(row["size_bytes"]) if row["size_bytes"].isdigit() else None
            if size is not None and size > limit:
                error = TooLargeDocumentError(
                    f"{name!r} has {size:,} bytes; raise max_bytes (now {limit:,}) or turn attachments off"
                )
                return Failure(error=error, external_id=identity, token=articles.token(row))
            return child_of(
                parent,
                "attachment",
                row["sys_id"],
                name=articles.segment(name),
                token=articles.token(row),
                load=self._contents.file(row["sys_id"], size),
                media_type=media_type(name) if kind in _GENERIC else kind,
                size=size,
                modified_at=read_time(row["sys_updated_on"]),
                url=f"{self._options.url}/sys_attachment.do?sys_id={row['sys_id']}",
            )
        except KeyError as error:
            return _corrupt(identity, error)

    def _blocks(self, parents: dict[str, Item]) -> Iterator[Item | Failure]:
        uses = {article: used for article, used in self._uses_of_blocks().items() if article in parents}
        wanted = sorted({block for used in uses.values() for block in used})
        conditions = ["workflow_state=published", "active=true"]
        found: dict[str, Row] = {}
        for _, page in self._site.among(
            "kb_knowledge_block", ["sys_id"], wanted, conditions, articles.BLOCK_FIELDS
        ):
            yield from self._hidden(page, "kb_knowledge_block")
            found.update({row["sys_id"]: row for row in page.rows})
        for article, used in uses.items():
            for block in dict.fromkeys(used):
                if block in found:
                    yield from self._once(self._block(parents[article], found[block]))

    def _block(self, parent: Item, row: Row) -> Item | Failure:
        try:
            rule = CLOSED if self._closed_blocks else self._rules.block(parent.access or CLOSED, row)
            title = row["short_description"]
            child = child_of(
                parent,
                "block",
                row["sys_id"],
                name=articles.segment(title),
                token=articles.token(row),
                load=Text(self._contents, ARTICLES, row["sys_id"]),
                media_type=articles.HTML,
                title=title or None,
                modified_at=read_time(row["sys_updated_on"]),
            )
            return msgspec.structs.replace(child, access=rule)
        except KeyError as error:
            return _corrupt(child_id(parent.external_id, "block", row["sys_id"]), error)

    def _uses_of_blocks(self) -> dict[str, list[str]]:
        """By sys_id of an article, the blocks in it; none where the plugin is not there.

        Blocks are closed where what narrows their readers cannot be read.
        """
        if self._uses is None:
            self._uses = {}
            if self._site.has("m2m_kb_knowledge_to_block"):
                self._closed_blocks = bool(self._site.blind("kb_knowledge_block", articles.RESTRICTING[:2]))
                for row in self._site.all("m2m_kb_knowledge_to_block", [], ["knowledge", "knowledge_block"]):
                    self._uses.setdefault(row.get("knowledge", ""), []).append(row.get("knowledge_block", ""))
        return self._uses

    def _catalogue(self) -> Iterator[Item | Failure]:
        for page in self._site.pages("sc_cat_item", ["active=true"], articles.ITEM_FIELDS):
            yield from self._hidden(page, "sc_cat_item")
            for row in page.rows:
                yield from self._once(self.item(row))

    def item(self, row: Row) -> Item | Failure:
        """An item of the catalogue."""
        try:
            load = Text(self._contents, ITEMS, row["sys_id"])
            return articles.catalogue_item(row, self._options.url, self._rules.item(row), load)
        except KeyError as error:
            return _corrupt(f"item/{row['sys_id']}", error)

    def _once(self, entry: Item | Failure) -> Iterator[Item | Failure]:
        """A row that changes while pages are read comes twice; that is no error."""
        identity = entry.external_id or ""
        if identity in self._seen:
            return
        self._seen.add(identity)
        if isinstance(entry, Failure) or self._window.holds(entry.modified_at):
            yield entry

    def _hidden(self, page: Page, table: str) -> Iterator[Failure]:
        """The failure that a page with hidden rows is, once for each table."""
        if page.hidden and table not in self._told:
            self._told.add(table)
            yield Failure(error=hidden_rows(table), entity=f"hidden rows of {table}")


def _corrupt(identity: str, error: KeyError) -> Failure:
    said = f"ServiceNow's answer lacks the field {error}, or the base it names is not in scope"
    return Failure(error=CorruptDocumentError(said), external_id=identity)
