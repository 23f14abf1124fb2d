"""Which documents a listing should name, asked apart from any listing.

What belongs here: ids of documents back to rows. What does not: listing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag_pipelines.connectors.servicenow import articles
from rag_pipelines.connectors.servicenow.options import ServiceNowOptions
from rag_pipelines.connectors.servicenow.scope import BLOCK_CLASS, Scope
from rag_pipelines.connectors.servicenow.site import ServiceNowSite


class Existence:
    """Answers for one scope."""

    def __init__(self, site: ServiceNowSite, options: ServiceNowOptions, scope: Scope) -> None:
        self._site = site
        self._options = options
        self._scope = scope

    def of(self, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that are there and chosen; what cannot be judged counts as there."""
        parts = {one: one.split("/") for one in ids}
        articles_of = {one: f"article/{part[1]}" for one, part in parts.items() if _is(part, "article")}
        versions, doubtful = self._articles(set(articles_of.values()))
        alive = {one for one, article in articles_of.items() if article in doubtful}
        alive |= {one for one, part in parts.items() if len(part) == 2 and one in versions}
        children = {
            one: part for one, part in parts.items() if len(part) == 4 and articles_of.get(one) in versions
        }
        alive |= self._attachments(children, versions) | self._blocks(children, versions)
        return alive | self._items([one for one, part in parts.items() if _is(part, "item")])

    def _articles(self, wanted: Iterable[str]) -> tuple[dict[str, str], set[str]]:
        """By article, the sys_id of the version that readers find; and those that cannot be judged."""
        keys = sorted(one.partition("/")[2] for one in wanted)
        found: dict[str, str] = {}
        doubtful: set[str] = set()
        fields = ["sys_id", "article_id", "kb_knowledge_base"]
        columns, conditions = ["article_id", "sys_id"], self._scope.published
        for asked, page in self._site.among("kb_knowledge", columns, keys, conditions, fields):
            here = [row for row in page.rows if row.get("kb_knowledge_base") in self._scope.bases]
            found.update({articles.article_id(row): row["sys_id"] for row in here})
            if page.hidden:
                doubtful.update(f"article/{one}" for one in asked)
        return found, doubtful - found.keys()

    def _attachments(self, children: dict[str, list[str]], versions: dict[str, str]) -> set[str]:
        wanted = {part[3]: one for one, part in children.items() if part[2] == "attachment"}
        if not self._options.attachments:
            return set()
        alive: set[str] = set()
        fields = ["sys_id", "table_sys_id", "table_name"]
        for asked, page in self._site.among("sys_attachment", ["sys_id"], sorted(wanted), [], fields):
            for row in page.rows:
                one = wanted[row["sys_id"]]
                if row["table_sys_id"] == versions["/".join(children[one][:2])]:
                    alive.add(one)
            if page.hidden:
                alive.update(wanted[one] for one in asked)
        return alive

    def _blocks(self, children: dict[str, list[str]], versions: dict[str, str]) -> set[str]:
        wanted = {one: part for one, part in children.items() if part[2] == "block"}
        if not wanted or not self._options.blocks:
            return set()
        used: set[tuple[str, str]] = set()
        uses = "m2m_kb_knowledge_to_block"
        in_articles = sorted({versions["/".join(part[:2])] for part in wanted.values()})
        for _, page in self._site.among(
            uses, ["knowledge"], in_articles, [], ["knowledge", "knowledge_block"]
        ):
            used.update((row["knowledge"], row["knowledge_block"]) for row in page.rows)
        published: set[str] = set()
        blocks = sorted({part[3] for part in wanted.values()})
        conditions = ["workflow_state=published", "active=true"]
        for asked, page in self._site.among(BLOCK_CLASS, ["sys_id"], blocks, conditions, ["sys_id"]):
            published.update(asked if page.hidden else [row["sys_id"] for row in page.rows])
        return {
            one
            for one, part in wanted.items()
            if part[3] in published and (versions["/".join(part[:2])], part[3]) in used
        }

    def _items(self, ids: list[str]) -> set[str]:
        if not ids or not self._options.catalogue:
            return set()
        keys = [one.partition("/")[2] for one in ids]
        alive: set[str] = set()
        for asked, page in self._site.among("sc_cat_item", ["sys_id"], keys, ["active=true"], ["sys_id"]):
            alive.update(
                f"item/{one}" for one in (asked if page.hidden else [row["sys_id"] for row in page.rows])
            )
        return alive


def _is(part: Sequence[str], kind: str) -> bool:
    return part[0] == kind and len(part) > 1
