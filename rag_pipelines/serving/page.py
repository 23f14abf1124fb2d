"""The search page: three files of this package, sent with headers under which nothing else can run.

What belongs here: their routes. What does not: their text (folder `page`), and data: the page asks `/v1`
like any other caller.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No inline code, no other host, no frame, and no text that becomes markup."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def search_page() -> Response:
    """The page for people."""
    return _file("page.html", "text/html")


@router.get("/page.css")
async def style() -> Response:
    """How it looks."""
    return _file("page.css", "text/css")


@router.get("/page.js")
async def script() -> Response:
    """What it does."""
    return _file("page.js", "text/javascript")


@cache
def _text(name: str) -> bytes:
    return (files("rag_pipelines.serving") / "page" / name).read_bytes()


def _file(name: str, media_type: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(_text(name), headers=headers, media_type=media_type)
