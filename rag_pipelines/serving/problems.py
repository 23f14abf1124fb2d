"""Errors as RFC 9457 problem details: one shape for every answer that is not what was asked for.

What belongs here: the value, its JSON, and how errors of the framework become one. What does not: deciding
that something is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RECEIVED_SHOWN = 200
"""Characters of a wrong value that are sent back."""


class Problem(Exception):
    """What is wrong with a request, or with us. `slug` names the kind and is stable, `detail` is for people.

    `errors` are ``{"field", "received", "valid"}``, one for each wrong value.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = tuple(errors)

    def response(self, request_id: str) -> Response:
        """The answer that says so."""
        body: dict[str, Any] = {
            "type": f"urn:rag-pipelines:problem:{self.slug}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return Response(json.dumps(body), self.status, self.headers, MEDIA_TYPE)


def invalid(field: str, received: str, valid: str) -> Problem:
    """That one value of a request is not valid."""
    error = {"field": field, "received": received[:RECEIVED_SHOWN], "valid": valid}
    return Problem(422, "invalid-request", f"{field} is not valid; valid: {valid}", errors=[error])


async def on_problem(request: Request, error: Exception) -> Response:
    """The answer to a `Problem` raised anywhere in a route."""
    assert isinstance(error, Problem)
    request.scope["problem"] = error.slug
    return error.response(request.scope["request_id"])


async def on_invalid(request: Request, error: Exception) -> Response:
    """The answer to a body or a parameter that does not have the declared shape."""
    assert isinstance(error, RequestValidationError)
    errors = [_error(found) for found in error.errors()]
    fields = ", ".join(found["field"] for found in errors)
    detail = f"{len(errors)} value(s) of the request are not valid: {fields}"
    return await on_problem(request, Problem(422, "invalid-request", detail, errors=errors))


async def on_http(request: Request, error: Exception) -> Response:
    """The answer to what the framework itself refuses: unknown paths, wrong methods, unreadable bodies."""
    assert isinstance(error, HTTPException)
    slugs = {404: "no-such-path", 405: "method-not-allowed", 400: "unreadable-body"}
    details = {
        404: f"there is nothing at {request.url.path[:RECEIVED_SHOWN]!r}; /openapi.json lists what there is",
        405: f"received the method {request.method}; valid: {(error.headers or {}).get('Allow', 'another')}",
        400: "the body could not be read; valid: one JSON object in UTF-8",
    }
    problem = Problem(
        error.status_code,
        slugs.get(error.status_code, "refused"),
        details.get(error.status_code, str(error.detail)),
        headers=error.headers,
    )
    return await on_problem(request, problem)


def _error(found: Mapping[str, Any]) -> dict[str, str]:
    where = [str(part) for part in found["loc"] if not (part == "body" and len(found["loc"]) > 1)]
    message = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "json_invalid":
        return {"field": "body", "received": f"no JSON ({found['ctx']['error']})", "valid": "a JSON object"}
    if found["type"] == "missing":
        return {"field": ".".join(where), "received": "nothing", "valid": "this field must be given"}
    if found["type"] == "extra_forbidden":
        return {"field": ".".join(where), "received": "an unknown field", "valid": "only documented fields"}
    return {"field": ".".join(where), "received": repr(found.get("input"))[:RECEIVED_SHOWN], "valid": message}
