"""Subscriptions: vendors are told where to send notifications of a source, and told again before they forget.

What belongs here: making, renewing and ending them, for sources whose `webhook` has an `address`. What does
not: receiving (`serving.events`), and which libraries and drives a source has (its connector).

Nothing is stored, and every pass may be the first. Graph lists the subscriptions of an app: ours are known by
their address, which names the source and a digest of the secret, because Graph never tells the secret. Drive
neither lists channels nor renews them, and refuses an id that is in use: a channel's id follows from what it
is for and from the days that it covers, so making it once more does nothing. Channels overlap by half of
their life, and end by themselves.

The transport of connectors only reads, so requests are sent here, once: the next pass is another try.

- Graph: learn.microsoft.com/graph/api/resources/subscription, subscription-post-subscriptions, -update, -list
- Drive: developers.google.com/workspace/drive/api/guides/push; changes.watch
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import requests

from rag_pipelines import logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.config.triggers import WebhookTrigger
from rag_pipelines.connectors.base import Connector, Failure
from rag_pipelines.connectors.google_drive.connector import GoogleDriveConnector
from rag_pipelines.connectors.google_drive.scopes import Scope
from rag_pipelines.connectors.rest import RestClient
from rag_pipelines.connectors.sharepoint.connector import SharePointConnector
from rag_pipelines.connectors.sharepoint.places import DRIVE, Place, Places
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import CredentialError, MissingEntityError, RagError, TransientError, UsageError
from rag_pipelines.http.answers import place_of
from rag_pipelines.http.statuses import error_of_status

log = logs.get(__name__)

GRAPH_LIFE = timedelta(minutes=42_300) - timedelta(hours=1)
"""Of a subscription to a library or a list: Graph allows 42,300 minutes; clocks may differ."""
RENEWED_AFTER = timedelta(hours=12)
"""A renewal also tells Graph that the app may still read (reauthorizationRequired)."""
CHANNEL_SHIFT = timedelta(days=3)
"""A channel lasts for two of them; Drive allows changes.watch a week."""

_TIMEOUT = (10, 60)
"""Seconds; Graph answers when the receiver has answered its handshake."""
_NOT_UNIQUE = "channelIdNotUnique"


class Pass(NamedTuple):
    """What one pass did for a source: how many subscriptions were made, renewed, left as they are, ended, and
    what could not be done, by what it was for."""

    made: int
    renewed: int
    kept: int
    ended: int
    errors: Mapping[str, RagError]


def subscribed_sources(settings: Settings) -> dict[str, WebhookTrigger]:
    """The sources whose notifications are asked for here."""
    return {
        name: source.triggers.webhook
        for name, source in settings.sources.items()
        if source.triggers.webhook and source.triggers.webhook.address
    }


def renew_subscriptions(
    settings: Settings, names: Collection[str], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[tuple[str, Pass | RagError]]:
    """Make, renew and end what the sources `names` need, one after the other; or what is wrong with one."""
    for name, webhook in subscribed_sources(settings).items():
        if name in names:
            try:
                with closing(settings.connector(name)) as connector:
                    done = renew(connector, webhook, clock())
                log.info("subscriptions renewed", source=name, made=done.made, failed=len(done.errors))
                yield name, done
            except RagError as error:
                log.warning("subscriptions not renewed", source=name, reason=str(error))
                yield name, error


def renew(connector: Connector, webhook: WebhookTrigger, now: datetime) -> Pass:
    """One pass for one source."""
    subscriptions: _Graph | _Channels
    if isinstance(connector, SharePointConnector):
        subscriptions = _Graph(connector, webhook, now)
    elif isinstance(connector, GoogleDriveConnector):
        subscriptions = _Channels(connector, webhook, now)
    else:
        raise UsageError(
            f"source {connector.source!r}: triggers.webhook.address is for sharepoint and google_drive, "
            f"not for {connector.kind}; take it out"
        )
    return subscriptions.renew()


class _Vendor:
    """Counts what is done; an error of one subscription costs that one alone."""

    def __init__(self) -> None:
        self.done = dict.fromkeys(("made", "renewed", "kept", "ended"), 0)
        self.errors: dict[str, RagError] = {}

    def each(self, found: Iterable[tuple[str, Callable[[], str]]]) -> Pass:
        """Do what is to be done of each; it says what that was."""
        for what, act in found:
            try:
                self.done[act()] += 1
            except CredentialError:
                raise
            except RagError as error:
                self.errors[what] = error
        return Pass(**self.done, errors=self.errors)


class _Graph(_Vendor):
    def __init__(self, connector: SharePointConnector, webhook: WebhookTrigger, now: datetime) -> None:
        super().__init__()
        self._graph = connector.graph
        self._url = connector.options.graph.rstrip("/") + "/subscriptions"
        self._secret = webhook.secret.get_secret_value()
        self._ours = _address(webhook, connector.source)
        self._address = f"{self._ours}?secret={_digest(self._secret)}"
        self._now = now

    def renew(self) -> Pass:
        found = list(Places(self._graph).find())
        self.errors.update({one.entity or "?": one.error for one in found if isinstance(one, Failure)})
        places = [one for one in found if isinstance(one, Place)]
        wanted = {_resource(one).lower(): one for one in places}
        ours = [one for one in self._graph.entries("/subscriptions") if self._is_ours(one)]
        present = {_plain(one): one for one in ours if one.get("notificationUrl") == self._address}
        todo = [(one.url, self._act(_resource(one), present.get(key))) for key, one in wanted.items()]
        if not self.errors:
            kept = {str(present[key]["id"]) for key in wanted if key in present}
            todo += [(_plain(one), self._end(one)) for one in ours if str(one["id"]) not in kept]
        return self.each(todo)

    def _is_ours(self, raw: Mapping[str, Any]) -> bool:
        address = str(raw.get("notificationUrl") or "").partition("?")[0]
        return address == self._ours and bool(raw.get("id"))

    def _act(self, resource: str, known: Mapping[str, Any] | None) -> Callable[[], str]:
        ends = {"expirationDateTime": (self._now + GRAPH_LIFE).isoformat().replace("+00:00", "Z")}

        def make() -> str:
            _send(
                self._graph.client,
                "POST",
                self._url,
                {
                    "changeType": "updated",
                    "notificationUrl": self._address,
                    "lifecycleNotificationUrl": self._address,
                    "resource": resource,
                    "clientState": self._secret,
                    **ends,
                },
            )
            return "made"

        def prolong() -> str:
            assert known is not None
            until = read_time(str(known.get("expirationDateTime") or ""))
            if until is not None and until - self._now > GRAPH_LIFE - RENEWED_AFTER:
                return "kept"
            try:
                _send(self._graph.client, "PATCH", f"{self._url}/{quote(str(known['id']))}", ends)
            except MissingEntityError:
                return make()
            return "renewed"

        return make if known is None else prolong

    def _end(self, known: Mapping[str, Any]) -> Callable[[], str]:
        def end() -> str:
            with suppress(MissingEntityError):
                _send(self._graph.client, "DELETE", f"{self._url}/{quote(str(known['id']))}")
            return "ended"

        return end


class _Channels(_Vendor):
    def __init__(self, connector: GoogleDriveConnector, webhook: WebhookTrigger, now: datetime) -> None:
        super().__init__()
        self._workspace = connector.workspace
        self._secret = webhook.secret.get_secret_value()
        self._address = _address(webhook, connector.source)
        self._shift = int(now.timestamp() // CHANNEL_SHIFT.total_seconds())

    def renew(self) -> Pass:
        found = list(self._workspace.scopes())
        self.errors.update({one.entity or "?": one.error for one in found if isinstance(one, Failure)})
        scopes = [one for one in found if isinstance(one, Scope)]
        return self.each([(one.name, partial(self._watch, one)) for one in scopes])

    def _watch(self, scope: Scope) -> str:
        client = self._workspace.logins.drive(scope.account)
        named = (self._address, _digest(self._secret), scope.key, scope.account, str(self._shift))
        ends = (self._shift + 2) * CHANNEL_SHIFT.total_seconds()
        params = {
            "pageToken": self._workspace.as_account(scope.account).start_token(scope.drive),
            "supportsAllDrives": "true",
            "includeItemsFromAllDrives": "true",
            **({"driveId": scope.drive} if scope.drive else {}),
        }
        channel = {
            "id": str(uuid5(NAMESPACE_URL, "\n".join(named))),
            "type": "web_hook",
            "address": self._address,
            "token": self._secret,
            "expiration": str(int(ends * 1000)),
        }
        try:
            _send(client, "POST", f"{client.url}/drive/v3/changes/watch", channel, params)
        except UsageError as error:
            if _NOT_UNIQUE in str(error):
                return "kept"
            raise
        return "made"


def _send(
    client: RestClient,
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> None:
    """Send one request with the login of `client`. Errors of the library are replaced: these hold secrets."""
    place = place_of(url)
    try:
        answer = requests.request(
            method,
            url,
            params=params,
            json=body,
            auth=client.credential,
            verify=client.verify,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise TransientError(f"{place} did not answer: {type(error).__name__}") from None
    said = f"{method} {place} answered {answer.status_code}: {_words(answer)}"
    if fault := error_of_status(answer.status_code, said):
        raise fault


def _words(answer: requests.Response) -> str:
    """The reasons in an error of Graph or Drive; nothing that could echo the secret."""
    try:
        error = json.loads(answer.content)["error"]
        reasons = [one.get("reason") for one in error.get("errors") or ()] or [error.get("code")]
        return ", ".join(str(one) for one in reasons)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "no reason given"


def _address(webhook: WebhookTrigger, source: str) -> str:
    return f"{(webhook.address or '').rstrip('/')}/events/{quote(source, safe='')}"


def _digest(secret: str) -> str:
    """Tells secrets apart and tells nothing of them: they are too long to be guessed."""
    return hashlib.sha256(f"notifications {secret}".encode()).hexdigest()[:16]


def _resource(place: Place) -> str:
    path = f"{place.path}/root" if place.kind == DRIVE else place.path
    return path.strip("/")


def _plain(raw: Mapping[str, Any]) -> str:
    return str(raw.get("resource") or "").strip("/").lower()
