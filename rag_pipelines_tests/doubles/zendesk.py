"""A Zendesk account over HTTP: help centers, tickets, people and the OAuth token endpoint.

What belongs here: paths and shapes of answers. What does not: what the account holds (`zendesk_state`).

After developer.zendesk.com: api-reference/introduction/pagination (``page[size]``, ``meta``, ``links``),
documentation/help_center/help-center-api/understanding-incremental-article-exports (pages by start_time, up
to 1,000 articles), documentation/ticketing/managing-tickets/using-the-incremental-export-api
(``after_cursor``, ``end_of_stream``; what changed within the last minute is left out).
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer
from rag_pipelines_tests.doubles.zendesk_state import DELETED, Desk, Row

_LAG = 60


class Zendesk(Server):
    """Serves one brand's help center and the account's tickets. `clients` are OAuth ids with secrets."""

    def __init__(
        self,
        desk: Desk,
        *,
        brand: str = "main",
        logins: Mapping[str, str] | None = None,
        clients: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(logins=logins, **options)
        self.desk = desk
        self.brand = brand
        self.clients = dict(clients or {})
        self.export_pages = 1000
        """Rows of one page of an incremental export at most."""
        self.refused: set[str] = set()
        """Kinds of rows that the account may not read, as ``users`` or ``custom_roles``."""
        self.malformed: set[int] = set()
        """Articles that come without what says who may read them."""
        self.repeated: set[int] = set()
        """Articles that two pages name."""
        self.left_out: set[int] = set()
        """Sections whose articles listings lack without a word."""
        self.lost: set[int] = set()
        """Attachments whose bytes are gone."""
        self.role = "admin"
        """Of the login."""
        self.address: str | None = None
        """What links begin with, where it is asked without a wire (`answer`)."""
        self.expired = False
        """Whether cursors of exports are refused from now on."""
        self.route("/api/v2/help_center/articles", self._articles)
        self.route("/api/v2/help_center/incremental/articles", self._incremental)
        self.route("/api/v2/help_center/articles/{id}", self._article)
        self.route("/api/v2/help_center/articles/{id}/translations", self._translations)
        self.route("/api/v2/help_center/articles/{id}/attachments", self._attachments)
        self.route("/hc/article_attachments/{id}", self._file)
        for kind in ("sections", "categories", "user_segments"):
            self.route(f"/api/v2/help_center/{kind}", lambda request, kind=kind: self._rows(request, kind))
        for kind in ("organizations", "organization_memberships", "groups", "group_memberships", "brands"):
            self.route(f"/api/v2/{kind}", lambda request, kind=kind: self._rows(request, kind))
        self.route("/api/v2/brand_agents", lambda request: self._rows(request, "brand_agents"))
        self.route("/api/v2/custom_roles", lambda request: self._rows(request, "custom_roles", paged=False))
        self.route("/api/v2/users/me", self._me)
        self.route("/api/v2/incremental/users/cursor", lambda request: self._export(request, "users"))
        self.route("/api/v2/incremental/tickets/cursor", lambda request: self._export(request, "tickets"))
        self.route("/api/v2/tickets/show_many", self._show_many)
        self.route("/api/v2/tickets/{id}/comments", self._comments)

    @property
    def base(self) -> str:
        return self.address or self.url

    def answer(self, request: Request) -> Answer:
        """The answer to a request that comes by no wire."""
        return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/oauth/tokens"):
            return self._token(request)
        return super()._answer(request)

    def _token(self, request: Request) -> Answer:
        if request.headers.get("Content-Type") != "application/json":
            return json_answer({"error": "invalid_request"}, 400)
        form = json.loads(request.body)
        known = self.clients.get(form.get("client_id", ""))
        grant = form.get("grant_type") == "client_credentials" and form.get("scope") == "read"
        if not grant or known is None or known != form.get("client_secret"):
            return json_answer({"error": "invalid_client"}, 401)
        assert self.logins is not None
        self.logins["Bearer granted"] = "sync"
        return json_answer({"access_token": "granted", "token_type": "bearer", "expires_in": 1800})

    def _is_listed(self, row: Row) -> bool:
        """Whether listings name an article: this brand's, in a section."""
        section = row["section_id"]
        return (
            section in self.desk.sections
            and section not in self.left_out
            and self.desk.brand(row) == self.brand
        )

    def _listed(self) -> list[Row]:
        """The articles that listings name, in the order they are in."""
        return [row for row in self.desk.articles.values() if self._is_listed(row)]

    def _articles(self, request: Request) -> Any:
        translated = "translations" in request.list("include")
        rows = self.desk.articles
        if request.one("sort_by") == "updated_at":
            newest = max(self._listed(), key=lambda row: row["updated_at"], default=None)
            rows = {newest["id"]: newest} if newest else {}
        return self._page(
            request, "articles", rows, lambda row: self._shape(row, translated), self._is_listed
        )

    def _incremental(self, request: Request) -> Any:
        """Pages that begin where the one before ended; archived articles are not in them."""
        since = request.number("start_time", 0)
        found = sorted((row for row in self._listed()), key=lambda row: (row["updated_at"], row["id"]))
        found = [row for row in found if _epoch(row["updated_at"]) >= since]
        page = found[: self.export_pages]
        end = _epoch(page[-1]["updated_at"]) if page else since
        more = len(found) > len(page)
        following = f"{self.base}/api/v2/help_center/incremental/articles?start_time={end}"
        return {
            "articles": [self._shape(row, False) for row in page],
            "count": len(page),
            "end_time": end,
            "next_page": following if more else None,
        }

    def _article(self, request: Request, id: str) -> Any:
        row = self._here(id)
        return missing() if row is None else {"article": self._shape(row, False)}

    def _translations(self, request: Request, id: str) -> Any:
        row = self._here(id)
        if row is None:
            return missing()
        return self._page(request, "translations", _by_id(self.desk.translations[row["id"]].values()))

    def _attachments(self, request: Request, id: str) -> Any:
        row = self._here(id)
        if row is None:
            return missing()
        rows = self.desk.attached.get(row["id"], {}).values()
        host = "https://help.example.com"  # as where a help center has a domain of its own
        return self._page(
            request,
            "article_attachments",
            _by_id(rows),
            lambda one: {**one, "content_url": f"{host}/hc/article_attachments/{one['id']}"},
        )

    def _file(self, request: Request, id: str) -> Answer:
        data = self.desk.files.get(int(id))
        if data is None or int(id) in self.lost:
            return missing()
        return Answer(200, data, {"Content-Type": "text/plain"})

    def _here(self, id: str) -> Row | None:
        row = self.desk.articles.get(int(id))
        if row is None or row["section_id"] not in self.desk.sections:
            return None
        return row if self.desk.brand(row) == self.brand else None

    def _shape(self, row: Row, translated: bool) -> Row:
        translations = self.desk.translations[row["id"]]
        source = translations[row["source_locale"]]
        shown = {
            **row,
            "locale": row["source_locale"],
            "html_url": f"{self.base}/hc/{row['source_locale']}/articles/{row['id']}",
            **{name: source.get(name) for name in ("title", "body", "draft")},
        }
        if translated:
            shown["translations"] = list(translations.values())
        if row["id"] in self.malformed:
            del shown["user_segment_id"], shown["user_segment_ids"]
        return shown

    def _rows(self, request: Request, kind: str, *, paged: bool = True) -> Any:
        if kind in self.refused:
            return forbidden()
        rows = self._of(kind)
        return self._page(request, kind, _by_id(rows)) if paged else {kind: list(rows), "next_page": None}

    def _of(self, kind: str) -> Iterable[Row]:
        desk = self.desk
        if kind == "organization_memberships":
            return [
                {"id": number, "organization_id": one, "user_id": user}
                for number, (one, user) in enumerate(sorted(desk.organization_members), 1)
            ]
        if kind == "group_memberships":
            return [
                {"id": number, "group_id": one, "user_id": user}
                for number, (one, user) in enumerate(sorted(desk.group_members), 1)
            ]
        if kind == "brand_agents":
            return [
                {"id": number, "brand_id": one, "user_id": user}
                for number, (one, user) in enumerate(sorted(desk.brand_agents), 1)
            ]
        if kind == "categories":
            return [row for row in desk.categories.values() if desk.brand_of[row["id"]] == self.brand]
        if kind == "sections":
            rows = desk.sections.values()
            return [row for row in rows if desk.brand_of[row["category_id"]] == self.brand]
        tables = {
            "user_segments": desk.segments,
            "organizations": desk.organizations,
            "groups": desk.groups,
            "custom_roles": desk.roles,
            "brands": desk.brands,
        }
        return tables[kind].values()

    def _me(self, request: Request) -> Any:
        return {"user": {"id": 1, "role": self.role}}

    def _export(self, request: Request, kind: str) -> Any:
        """What changed, in the order of the changes, but for the last minute's."""
        if kind in self.refused:
            return forbidden()
        cursor = request.one("cursor")
        if cursor and self.expired:
            return json_answer({"errors": [{"code": "InvalidCursor", "title": "cursor is invalid"}]}, 422)
        at, last = _read(cursor) if cursor else (request.number("start_time", 0), 0)
        table = self.desk.users if kind == "users" else self.desk.tickets
        rows = sorted(table.values(), key=_moment)
        found = [row for row in rows if _moment(row) > (at, last if cursor else 0)]
        found = [row for row in found if _moment(row)[0] <= self.desk.epoch - _LAG]
        page = found[: min(request.number("per_page", 1000), self.export_pages)]
        after = _write(*(_moment(page[-1]) if page else (at, last)))
        return {
            kind: page,
            "after_cursor": after,
            "after_url": f"{self.base}/api/v2/incremental/{kind}/cursor?cursor={quote(after)}",
            "before_cursor": None,
            "end_of_stream": len(page) == len(found),
        }

    def _show_many(self, request: Request) -> Any:
        if "tickets" in self.refused:
            return forbidden()
        rows = [self.desk.tickets.get(int(one)) for one in request.list("ids")]
        return {"tickets": [row for row in rows if row is not None and row["status"] != DELETED]}

    def _comments(self, request: Request, id: str) -> Any:
        row = self.desk.tickets.get(int(id))
        if row is None or row["status"] == DELETED:
            return missing()
        return self._page(request, "comments", _by_id(self.desk.comments[row["id"]]))

    def _page(
        self,
        request: Request,
        name: str,
        rows: Mapping[int, Row],
        shape: Callable[[Row], Row] = lambda row: row,
        holds: Callable[[Row], bool] = lambda row: True,
    ) -> dict[str, Any]:
        """A page of cursor pagination over the rows that `holds` lets through."""
        size = min(request.number("page[size]", 100), 100)
        after = request.one("page[after]")
        ids = sorted(rows)
        behind = bisect_right(ids, _read(after)[0]) if after else 0
        found = (rows[ids[at]] for at in range(behind, len(ids)) if holds(rows[ids[at]]))
        page = list(islice(found, size))
        more = next(found, None) is not None
        cursor = _write(page[-1]["id"], 0) if page else None
        shown = [shape(row) for row in page]
        if name == "articles" and after:
            again = (self.desk.articles[one] for one in self.repeated if one in self.desk.articles)
            shown += [shape(row) for row in again]
        query = "&".join(
            f"{quote(key)}={quote(value)}"
            for key, values in request.query.items()
            if key != "page[after]"
            for value in values
        )
        following = f"{self.base}{request.path}?{query}&page%5Bafter%5D={quote(cursor or '')}"
        return {
            name: shown,
            "meta": {"has_more": more, "after_cursor": cursor, "before_cursor": after or None},
            "links": {"next": following if more else None, "prev": None},
        }


def missing() -> Answer:
    return json_answer({"error": "RecordNotFound", "description": "Not found"}, 404)


def forbidden() -> Answer:
    return json_answer({"error": "Forbidden", "description": "You do not have access to this page"}, 403)


def too_many(retry_after: str = "0") -> Status:
    """The answer to one request too many in a minute."""
    return Status(
        429,
        retry_after=retry_after,
        headers={"ratelimit-limit": "100", "ratelimit-remaining": "0", "ratelimit-reset": retry_after},
        body='{"error": "APIRateLimitExceeded", "description": "Number of allowed API requests exceeded"}',
    )


def _by_id(rows: Iterable[Row]) -> dict[int, Row]:
    return {row["id"]: row for row in rows}


def _epoch(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp())


def _moment(row: Row) -> tuple[int, int]:
    return row.get("generated_timestamp") or _epoch(row["updated_at"]), row["id"]


def _write(*numbers: int) -> str:
    return base64.b64encode("|".join(map(str, numbers)).encode()).decode()


def _read(cursor: str) -> tuple[int, int]:
    first, last = base64.b64decode(cursor).decode().split("|")
    return int(first), int(last)
