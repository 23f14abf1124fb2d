"""Notifications of Microsoft Graph and Google Drive, each of which becomes a hint that a run is worth while.

What belongs here: the route, and who is believed. What does not: making and renewing subscriptions
(`triggers.subscriptions`), and what a hint leads to. A notification is told apart by its secret alone, so it
is believed no more than this: that somebody who knows it asks for a run.

- Graph: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks (`validationToken`,
  `clientState`)
- Drive: https://developers.google.com/workspace/drive/api/guides/push (``X-Goog-Channel-Token``)
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from fastapi import APIRouter, Request, Response

from rag_pipelines.config.settings import Settings
from rag_pipelines.secrets.references import current

ECHOED = 2_000
"""Characters of a validation token that are sent back; Graph's are shorter."""

Refuse = Callable[[Request], NoReturn]
Keep = Callable[[str, Sequence[str | None]], Awaitable[None]]


def webhook_secrets(settings: Settings) -> dict[str, str]:
    """The secret of each source that receives notifications."""
    return {
        name: source.triggers.webhook.secret.get_secret_value()
        for name, source in settings.sources.items()
        if source.triggers.webhook
    }


def events_router(secrets: Mapping[str, str], refuse: Refuse, keep: Keep) -> APIRouter:
    """The route for the sources that have a secret.

    Args:
        refuse: raises what any other caller is answered; a source that is not known looks the same.
        keep: writes hints at a source for what was named.
    """
    router = APIRouter(include_in_schema=False)

    @router.post("/events/{source}")
    async def receive(request: Request, source: str) -> Response:
        """200 with the token of Graph's handshake, 202 for a notification that is believed."""
        if source not in secrets:
            refuse(request)
        secret = current(secrets[source])
        request.scope["told"]["source"] = source
        token = request.query_params.get("validationToken")
        if token is not None:
            return Response(token[:ECHOED], media_type="text/plain")
        named = _of_drive(request.headers, secret)
        if named is None:
            named = _of_graph(await request.body(), secret)
        if named is None:
            refuse(request)
        if named:
            await keep(source, named)
        return Response(status_code=202)

    return router


def _of_drive(headers: Mapping[str, str], secret: str) -> list[str | None] | None:
    """What Drive names: nothing in a channel's first message (``sync``). None where it is not believed."""
    if not _equal(headers.get("x-goog-channel-token"), secret):
        return None
    return [] if headers.get("x-goog-resource-state") == "sync" else [headers.get("x-goog-resource-id")]


def _of_graph(body: bytes, secret: str) -> list[str | None] | None:
    """What those of Graph's notifications name that know the secret; None where none does."""
    try:
        notifications = json.loads(body)["value"]
        believed = [one for one in notifications if _equal(one.get("clientState"), secret)]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    resources = [one.get("resource") for one in believed]
    return [one if isinstance(one, str) else None for one in resources] or None


def _equal(given: Any, secret: str) -> bool:
    """Whether a text is the secret, in a time that does not tell how much of it is."""
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
