"""What changed since a moment: articles by their own time, and those whose blocks or attachments did.

What belongs here: which articles a run has to look at again. What does not: their documents (`listing`).

A change is a reason to look, never the answer: the articles that something points at are asked for as they
are now, and one that readers no longer find is gone. So an older version that becomes outdated, and the new
one that takes its place under the same id, are one question. Nothing in ServiceNow tells of an attachment or
a use of a block that was deleted, unless deletions of those tables are audited; a full listing finds them.

sys_audit_delete has a row for a deleted record of an audited table, under the name of its own class
(ServiceNowDocs: c_DictionaryAttributes.md, no_audit_delete; r_AvailableSystemProperties.md,
glide.db.audit.ignore.delete). Where it cannot be read, deletions wait for a full listing too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from rag_pipelines.connectors.base import Failure, Item, Removed
from rag_pipelines.connectors.servicenow import articles
from rag_pipelines.connectors.servicenow.listing import ArticleListing, Parts
from rag_pipelines.connectors.servicenow.scope import BLOCK_CLASS
from rag_pipelines.connectors.servicenow.site import Row
from rag_pipelines.errors import CredentialError, RagError, TransientError

_KNOWLEDGE = "table_nameLIKEkb_"
"""Of attachments: articles are in kb_knowledge and in tables that extend it, as kb_template_how_to."""


class ChangeFeed:
    """The changes of one run."""

    def __init__(self, parts: Parts, listing: ArticleListing) -> None:
        self._site = parts.site
        self._options = parts.options
        self._scope = parts.scope
        self._listing = listing
        self._asked: set[str] = set()

    def entries(self, since: datetime, day: date) -> Iterator[Item | Failure | Removed]:
        """What changed since a moment; articles whose Valid to is in [day, today) have come to their end."""
        yield from self._listing.notes()
        moment = articles.stamp(since - timedelta(minutes=self._options.overlap))
        yield from self._looked_at("articles", self._articles(moment))
        expired = [f"valid_to>={day.isoformat()}", f"valid_to<{self._scope.today.isoformat()}"]
        yield from self._looked_at("expired articles", self._ids_of("kb_knowledge", expired))
        yield from self._looked_at("deleted articles", self._deleted(moment))
        if self._options.attachments:
            changed = [_KNOWLEDGE, f"sys_updated_on>={moment}"]
            yield from self._looked_at("attachments", self._column("sys_attachment", changed, "table_sys_id"))
        if self._options.blocks:
            yield from self._looked_at("blocks", self._uses(moment))
        if self._options.catalogue:
            yield from self._listing.guarded(self._items(moment), "catalogue items")

    def _looked_at(self, what: str, ids: Iterator[list[str]]) -> Iterator[Item | Failure | Removed]:
        """The articles that `ids` point at, as they are now."""
        yield from self._listing.guarded(
            self._resolved(ids, gone=what.endswith("articles")), f"changes of {what}"
        )

    def _resolved(self, ids: Iterator[list[str]], *, gone: bool) -> Iterator[Item | Failure | Removed]:
        for some in ids:
            fresh = [one for one in dict.fromkeys(some) if one and one not in self._asked]
            self._asked.update(fresh)
            columns = ["article_id", "sys_id"]
            conditions = self._scope.published
            for asked, page in self._site.among(
                "kb_knowledge", columns, fresh, conditions, articles.ARTICLE_FIELDS
            ):
                here = [row for row in page.rows if row.get("kb_knowledge_base") in self._scope.bases]
                yield from self._listing.documents(page._replace(rows=here))
                found = {articles.article_id(row) for row in here} | {
                    f"article/{row['sys_id']}" for row in here
                }
                if gone and not page.hidden:
                    for one in asked:
                        if f"article/{one}" not in found:
                            yield Removed(f"article/{one}", children=True)

    def _articles(self, moment: str) -> Iterator[list[str]]:
        """Articles, by the id that all versions share, that were touched in any way."""
        conditions = [f"sys_updated_on>={moment}", f"sys_class_name!={BLOCK_CLASS}"]
        fields = ["sys_id", "article_id"]
        for page in self._site.pages("kb_knowledge", conditions, fields, by_time=True):
            yield [_key(row) for row in page.rows]

    def _ids_of(self, table: str, conditions: list[str]) -> Iterator[list[str]]:
        for page in self._site.pages(table, conditions, ["sys_id", "article_id"]):
            yield [_key(row) for row in page.rows]

    def _column(self, table: str, conditions: list[str], column: str) -> Iterator[list[str]]:
        for page in self._site.pages(table, conditions, [column]):
            yield [row.get(column, "") for row in page.rows]

    def _deleted(self, moment: str) -> Iterator[list[str]]:
        conditions = [f"sys_created_on>={moment}", "tablenameLIKEkb_"]
        try:
            yield from self._column("sys_audit_delete", conditions, "documentkey")
        except (CredentialError, TransientError):
            raise
        except RagError:
            return

    def _uses(self, moment: str) -> Iterator[list[str]]:
        """Articles that use a block which changed, or began to use one."""
        if not self._site.has("m2m_kb_knowledge_to_block"):
            return
        changed = [f"sys_updated_on>={moment}"]
        yield from self._column("m2m_kb_knowledge_to_block", changed, "knowledge")
        for blocks in self._column(BLOCK_CLASS, changed, "sys_id"):
            yield self._listing.users_of(blocks)

    def _items(self, moment: str) -> Iterator[Item | Failure | Removed]:
        for page in self._site.pages(
            "sc_cat_item", [f"sys_updated_on>={moment}"], [*articles.ITEM_FIELDS, "active"], by_time=True
        ):
            for row in page.rows:
                active = row.get("active") == "true"
                yield self._listing.item(row) if active else Removed(f"item/{row['sys_id']}")


def _key(row: Row) -> str:
    return row.get("article_id") or row["sys_id"]
