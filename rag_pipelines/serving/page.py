"""The pages for people: files of this package, sent with headers under which nothing else can run.

What belongs here: their routes. What does not: their text (folder `page`), and data: a page asks `/v1` like
any other caller.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No inline code, no other host, no frame, and no text that becomes markup."""

MEDIA_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def search_page() -> Response:
    """The search."""
    return _file("search.html")


@router.get("/document")
async def document_page() -> Response:
    """One document."""
    return _file("document.html")


@router.get("/admin")
async def admin_page() -> Response:
    """How sources and indexes stand, and decisions."""
    return _file("admin.html")


@router.get("/page/{name}")
async def part(name: str) -> Response:
    """How the pages look, and what they do."""
    if name not in _texts():
        raise HTTPException(404)
    return _file(name)


@cache
def _texts() -> dict[str, bytes]:
    folder = files("rag_pipelines.serving") / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def _file(name: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(_texts()[name], headers=headers, media_type=MEDIA_TYPES[name.rpartition(".")[2]])
