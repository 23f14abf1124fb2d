"""A stand-in for the Zendesk help center of the demo's company, on this machine.

What belongs here: answers in the shape of Zendesk's interface to what a source of articles asks for. What
does not: what they say (`help_center.yaml`), and anything that a source needs to know: to it this is Zendesk.

It answers whoever asks on this machine, without a login, and nothing in it can be changed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

from rag_pipelines.demo import help_center_path

HOST = "127.0.0.1"
_PREFIX = "/api/v2/"

Row = Mapping[str, Any]
Query = Mapping[str, str]


class HelpCenter:
    """Answers while it is open, at `url`; `port` 0 takes a free one. Raises `OSError` where it is taken."""

    def __init__(self, port: int = 0) -> None:
        self._rows: dict[str, list[Row]] = yaml.safe_load(help_center_path().read_text(encoding="utf-8"))
        self._server = ThreadingHTTPServer((HOST, port), _handler(self.answer))
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Answer until the process ends or `__exit__` is called."""
        self._server.serve_forever(poll_interval=0.05)

    def answer(self, path: str, query: Query) -> Any:
        """What Zendesk says at a path below ``/api/v2/``; None where there is nothing."""
        parts = path.split("/")
        match parts:
            case ["users", "me"]:
                return {"user": {"id": 1, "role": "admin"}}
            case ["incremental", "users", "cursor"]:
                return {"users": self._rows["users"], "after_cursor": "end", "end_of_stream": True}
            case ["help_center", "articles"] if query.get("sort_by") == "updated_at":
                newest = sorted(self._articles, key=_changed, reverse=query.get("sort_order") == "desc")
                return _page("articles", newest[: int(query.get("page[size]", 100))])
            case ["help_center", "incremental", "articles"]:
                since = int(query.get("start_time", 0))
                changed = [row for row in self._articles if _changed(row) >= since]
                end = max(map(_changed, changed), default=since)
                return {"articles": changed, "count": len(changed), "end_time": end, "next_page": None}
            case ["help_center", "articles", article, *below]:
                return self._article(article, below)
        rows = self._rows.get(path)
        return None if rows is None else _page(parts[-1], rows)

    @property
    def _articles(self) -> list[Row]:
        return self._rows["help_center/articles"]

    def _article(self, article: str, below: list[str]) -> Any:
        """An article, its translations, or its files, of which it has none."""
        row = next((row for row in self._articles if str(row["id"]) == article), None)
        match row, below:
            case None, _:
                return None
            case _, []:
                return {"article": row}
            case dict(), ["translations"]:
                return _page("translations", row["translations"])
            case _, ["attachments"]:
                return _page("article_attachments", [])
        return None


def _page(name: str, rows: list[Row]) -> Any:
    """A whole list on its only page."""
    return {name: rows, "meta": {"has_more": False, "after_cursor": None, "before_cursor": None}}


def _changed(row: Row) -> int:
    return int(datetime.fromisoformat(row["updated_at"]).timestamp())


def _handler(answer: Callable[[str, Query], Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            inside = asked.path.startswith(_PREFIX)
            found = answer(asked.path.removeprefix(_PREFIX), dict(parse_qsl(asked.query))) if inside else None
            body = json.dumps({"error": "RecordNotFound"} if found is None else found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are of no interest to who looks at the demo."""

    return Handler
