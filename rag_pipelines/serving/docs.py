"""The description of the service to read and try: Swagger UI, from files of this machine.

What belongs here: its routes and the policy of its page. What does not: the description itself (`app`).
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""As that of the search page, but for trusted types, which Swagger UI does not know."""

router = APIRouter(include_in_schema=False, prefix="/docs")


@router.get("")
async def read() -> Response:
    """The page."""
    return _file(_ours("docs.html"), "text/html")


@router.get("/start.js")
async def start() -> Response:
    """What begins it."""
    return _file(_ours("docs.js"), "text/javascript")


@router.get("/swagger-ui.js")
async def script() -> Response:
    """Swagger UI."""
    return _file(_theirs("swagger-ui-bundle.js"), "text/javascript")


@router.get("/swagger-ui.css")
async def style() -> Response:
    """How it looks."""
    return _file(_theirs("swagger-ui.css"), "text/css")


def _ours(name: str) -> Traversable:
    return files("rag_pipelines.serving") / "page" / name


def _theirs(name: str) -> Traversable:
    return files("fastapi_offline") / "static" / name


def _file(file: Traversable, media_type: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(file.read_bytes(), headers=headers, media_type=media_type)
