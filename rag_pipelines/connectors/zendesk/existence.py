"""Which documents a listing should name, asked apart from any listing.

What belongs here: ids of documents back to rows. What does not: listing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.zendesk import articles
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.connectors.zendesk.site import Row, ZendeskSite
from rag_pipelines.errors import ForbiddenEntityError, MissingEntityError

_TICKETS_AT_ONCE = 100


class Existence:
    """Answers for one account and its help centers."""

    def __init__(self, account: ZendeskSite, centers: Sequence[ZendeskSite], options: ZendeskOptions) -> None:
        self._account = account
        self._centers = centers
        self._options = options

    def of(self, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that are there and chosen; what cannot be judged counts as there."""
        wanted: dict[tuple[str, int], set[str]] = {}
        for identity in ids:
            kind, _, rest = identity.partition("/")
            number = rest.partition("/")[0]
            if kind in ("article", "ticket") and number.isdigit():
                wanted.setdefault((kind, int(number)), set()).add(identity)
        alive = self._tickets({one: of for (kind, one), of in wanted.items() if kind == "ticket"})
        for (kind, one), of in wanted.items():
            if kind == "article":
                alive |= self._article(one, of)
        return alive

    def _article(self, article: int, ids: set[str]) -> set[str]:
        for center in self._centers:
            try:
                row = center.get(f"help_center/articles/{article}")["article"]
                return ids & self._documents(center, row)
            except MissingEntityError:
                continue
            except (ForbiddenEntityError, KeyError):
                return ids
        return set()

    def _documents(self, center: ZendeskSite, row: Row) -> set[str]:
        """The ids of an article's documents."""
        path = f"help_center/articles/{row['id']}"
        locales = self._options.locales
        found = {
            articles.translation_id(row, one)
            for one in center.rows(f"{path}/translations", "translations")
            if not one["draft"] and (not locales or one["locale"].lower() in locales)
        }
        if found and self._options.attachments:
            found |= {
                f"{articles.article_id(row['id'])}/attachment/{one['id']}"
                for one in center.rows(f"{path}/attachments", "article_attachments")
                if not one.get("inline")
            }
        return found

    def _tickets(self, wanted: dict[int, set[str]]) -> set[str]:
        alive: set[str] = set()
        if not self._options.tickets:
            return alive
        notes = self._options.private_comments == "agents"
        for some in blocks(sorted(wanted), _TICKETS_AT_ONCE):
            answer = self._account.get("tickets/show_many", ids=",".join(map(str, some)))
            for row in answer.get("tickets") or ():
                identity = f"ticket/{row['id']}"
                named = {identity} if row["is_public"] else set()
                alive |= wanted[row["id"]] & (named | ({f"{identity}/notes/private"} if notes else set()))
        return alive
