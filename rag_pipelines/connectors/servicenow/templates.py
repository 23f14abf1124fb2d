"""Which columns hold the content of articles that were written with a template.

What belongs here: templates and their fields. What does not: contents (`contents`).

A template is a table that extends kb_knowledge, as kb_template_faq with Question and Answer; its articles
have nothing in ``text`` (ServiceNowDocs: knowledge-article-templates.md). The script include that shows an
article takes the template of its table, and that template's active fields in their order.
"""

from __future__ import annotations

import re
import threading

from rag_pipelines.connectors.servicenow.site import ServiceNowSite

ARTICLES = "kb_knowledge"
_TABLE = re.compile(r"[a-z0-9_]+")
_PREFIX = re.compile(r"^(u_)?(kb_)?")


class Templates:
    """The templates of one instance, read once; threads share it."""

    def __init__(self, site: ServiceNowSite) -> None:
        self._site = site
        self._columns: dict[str, list[str]] | None = None
        self._lock = threading.Lock()

    def columns(self, table: str) -> list[str]:
        """The columns of a template's content, in order; none for the standard article.

        Raises `ForbiddenEntityError` where templates cannot be read: the content would be lost.
        """
        if table == ARTICLES or not _TABLE.fullmatch(table):
            return []
        with self._lock:
            if self._columns is None:
                self._columns = self._read()
            return self._columns.get(table, [])

    def _read(self) -> dict[str, list[str]]:
        if not self._site.has("kb_article_template"):
            return {}
        rows = self._site.all("kb_article_template", [], ["sys_id", "child_table"])
        tables = {row["sys_id"]: row["child_table"] for row in rows}
        fields = ["article_template", "table_column", "order"]
        ordered: dict[str, list[tuple[float, str]]] = {}
        for row in self._site.all("kb_article_template_definition", ["active=true"], fields):
            place = (float(row["order"] or 0), row["table_column"])
            ordered.setdefault(tables.get(row["article_template"], ""), []).append(place)
        return {
            table: [column for _, column in sorted(places) if column] for table, places in ordered.items()
        }


def label(column: str) -> str:
    """What a column is called: ``kb_answer`` is Answer."""
    return _PREFIX.sub("", column).replace("_", " ").capitalize()
