"""One brand's help center: pages of articles into documents with what stands below them.

What belongs here: the order of requests, and what becomes of failures. What does not: single requests
(`site`), rows (`articles`).

A listing names every article with its translations; files cost one request for each article, because Zendesk
lists them so only. The incremental export names articles whose metadata changed; each is asked for as it is
now. It omits archived and deleted articles: only a full listing finds those (api-reference/help_center/
help-center-api/articles, "Archive Article").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from rag_pipelines.connectors.ahead import read_ahead
from rag_pipelines.connectors.base import Failure, Item, Removed, Window
from rag_pipelines.connectors.children import child_id
from rag_pipelines.connectors.times import read_time
from rag_pipelines.connectors.zendesk import articles
from rag_pipelines.connectors.zendesk.access import Rules
from rag_pipelines.connectors.zendesk.contents import File
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.connectors.zendesk.site import Row, ZendeskSite
from rag_pipelines.errors import (
    CorruptDocumentError,
    CredentialError,
    GoneError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    TransientError,
)

Listed = Item | Failure | Removed


class HelpCenter:
    """Lists the articles of one help center in one run; nothing is named twice."""

    def __init__(
        self, site: ZendeskSite, options: ZendeskOptions, rules: Rules, window: Window = Window()
    ) -> None:
        self._site = site
        self._options = options
        self._rules = rules
        self._window = window
        self._seen: set[int] = set()
        self.interrupted = False
        """Whether something could not be read that a later run can read."""

    def everything(self) -> Iterator[Listed]:
        """Every published translation and file."""
        yield from self._guarded(self._everything(), f"articles of {self._site.client.url}")

    def changed(self, since: int) -> Iterator[Listed]:
        """What changed since a moment, in seconds since 1970. Raises `GoneError` as the site does."""
        yield from self._guarded(self._changed(since), f"changes of {self._site.client.url}")

    def newest(self) -> int:
        """The time of the latest change, in seconds since 1970; 0 without articles."""
        options = {"sort_by": "updated_at", "sort_order": "desc", "page[size]": 1}
        rows = self._site.get("help_center/articles", **options).get("articles") or []
        at = read_time(rows[0].get("updated_at", "")) if rows else None
        return int(at.timestamp()) if at else 0

    def _everything(self) -> Iterator[Listed]:
        rows = self._site.rows("help_center/articles", "articles", include="translations")
        yield from self._documents(rows)

    def _changed(self, since: int) -> Iterator[Listed]:
        yield from self._documents(self._site.changed_articles(since))

    def _documents(self, rows: Iterable[Row]) -> Iterator[Listed]:
        """What stands behind rows of articles; what they do not tell is asked for many at a time."""
        places = self._places()

        def read(row: Row) -> list[Listed]:
            return list(self._guarded(self._asked(row, places), _entity(row)))

        for entries in read_ahead(read, self._fresh(rows), self._options.concurrent_loads):
            yield from entries

    def _fresh(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if row["id"] not in self._seen:
                self._seen.add(row["id"])
                yield row

    def _asked(self, row: Row, places: articles.Places) -> Iterator[Listed]:
        """An article with its translations, which have to be asked for unless it came with them."""
        path = f"help_center/articles/{row['id']}/translations"
        translations = row.get("translations")
        try:
            if not isinstance(translations, list):
                translations = list(self._site.rows(path, "translations"))
        except MissingEntityError:
            yield Removed(articles.article_id(row["id"]), children=True)
            return
        yield from self._article(row, translations, places)

    def _article(self, row: Row, translations: list[Row], places: articles.Places) -> Iterator[Listed]:
        try:
            entries, parent = self._translations(row, translations, places)
        except (KeyError, AttributeError) as error:
            yield _corrupt(articles.article_id(row["id"]), error)
            return
        yield from filter(self._holds, entries)
        if parent is not None and self._options.attachments:
            yield from self._guarded(self._attachments(row["id"], parent), f"attachments of {_entity(row)}")

    def _translations(
        self, row: Row, translations: list[Row], places: articles.Places
    ) -> tuple[list[Listed], Item | None]:
        """What to say of each translation, and the document that files stand below."""
        rule, folders = self._rules.article(row), places.folders(row["section_id"])
        entries: list[Listed] = []
        published: list[Item] = []
        main: Item | None = None
        for one in translations:
            chosen = not self._options.locales or one["locale"].lower() in self._options.locales
            if one["draft"] or not chosen:
                entries.append(Removed(articles.translation_id(row, one)))
                continue
            item = articles.translation_item(row, one, folders, rule)
            published.append(item)
            main = item if item.external_id == articles.article_id(row["id"]) else main
        if main is None and published:
            main = msgspec.structs.replace(published[0], external_id=articles.article_id(row["id"]))
        if not published:
            entries = [Removed(articles.article_id(row["id"]), children=True)]
        return [*entries, *published], main

    def _attachments(self, article: int, parent: Item) -> Iterator[Listed]:
        path = f"help_center/articles/{article}/attachments"
        for row in self._site.rows(path, "article_attachments"):
            if not row.get("inline"):
                entry = self._attachment(parent, row)
                if self._holds(entry):
                    yield entry

    def _attachment(self, parent: Item, row: Row) -> Item | Failure:
        identity, limit = child_id(parent.external_id, "attachment", str(row["id"])), self._options.max_bytes
        try:
            if row["size"] > limit:
                error = TooLargeDocumentError(
                    f"{row['file_name']!r} has {row['size']:,} bytes; raise max_bytes (now {limit:,}) "
                    "or turn attachments off"
                )
                return Failure(error=error, external_id=identity, token=articles.attachment_token(row))
            load = File(self._site, row["content_url"], limit, row["size"])
            return articles.attachment_item(parent, row, load)
        except KeyError as error:
            return _corrupt(identity, error)

    def _places(self) -> articles.Places:
        rows = self._site.rows
        return articles.Places(
            rows("help_center/categories", "categories"), rows("help_center/sections", "sections")
        )

    def _holds(self, entry: Listed) -> bool:
        return not isinstance(entry, Item) or self._window.holds(entry.modified_at)

    def _guarded(self, entries: Iterator[Listed], entity: str) -> Iterator[Listed]:
        """What is listed, and the failure of the rest."""
        try:
            yield from entries
        except (CredentialError, GoneError):
            raise
        except RagError as error:
            self.interrupted = self.interrupted or isinstance(error, TransientError)
            yield Failure(error=error, entity=entity)


def _entity(row: Row) -> str:
    return articles.article_id(row.get("id", 0))


def _corrupt(identity: str, error: Exception) -> Failure:
    return Failure(
        error=CorruptDocumentError(f"Zendesk's answer lacks the field {error}"), external_id=identity
    )
