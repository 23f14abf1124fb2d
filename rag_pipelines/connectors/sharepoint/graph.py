"""Reads Microsoft Graph, and SharePoint's own interface where Graph tells too little.

What belongs here: requests, pages, batches, logins. What does not: what an answer means (`places`, `drives`,
`lists`, `principals`).

Graph: learn.microsoft.com/graph/api/overview; paging by ``@odata.nextLink`` (graph/paging); ``$batch`` of
at most 20, whose parts fail one by one (graph/json-batching); ``Retry-After`` and ``RateLimit-*``
(graph/throttling) are `http.pacing`'s. SharePoint's interface takes a token of its own, by certificate only
(learn.microsoft.com/sharepoint/dev/solution-guidance/security-apponly-azuread).
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.ahead import read_ahead
from rag_pipelines.connectors.rest import RestClient
from rag_pipelines.connectors.sharepoint.options import SharePointOptions
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    TransientError,
    UsageError,
)

if TYPE_CHECKING:
    from rag_pipelines.http.oauth import TokenSource

Json = dict[str, Any]

BATCH = 20
_NO_METADATA = {"Accept": "application/json;odata=nometadata"}
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.+?-----END \1PRIVATE KEY-----", re.DOTALL)


class GraphClient:
    """Reads one tenant. Methods raise the errors of `rag_pipelines.errors` that `http.statuses` names."""

    def __init__(self, options: SharePointOptions, **transport: Any) -> None:
        self.options = options
        self._transport = transport
        self._graph = self._client(options.graph)
        self._sites: dict[str, RestClient] = {}

    @property
    def client(self) -> RestClient:
        """What Graph itself is read with, and its login."""
        return self._graph

    @property
    def requests(self) -> int:
        """Requests so far, repeats included."""
        return sum(one.traffic.requests for one in (self._graph, *self._sites.values()))

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """One answer. `path` is below Graph's address, or a link that Graph gave."""
        return _mapping(path, self._graph.get_json(self._own(path), params, headers))

    def pages(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        first: Json | None = None,
    ) -> Iterator[Json]:
        """Every page of a collection; the last may be empty. `first` is the page at `path` if it is there."""

        def get(link: str, given: Mapping[str, Any] | None) -> Json:
            return first if first is not None and link == path else self.get(link, given, headers)

        yield from _follow(get, path, params, "@odata.nextLink")

    def entries(
        self, path: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Json]:
        """The entries of every page."""
        for page in self.pages(path, params, headers):
            yield from values_of(path, page)

    def batch(
        self, paths: Sequence[str], headers: Mapping[str, str] | None = None
    ) -> Iterator[Json | RagError]:
        """The answer to each of `paths` (or links), in their order, or what it stands for.

        A part that was throttled, broke, or was left out is asked for by itself, with everything that waits
        and tries again. Raises `CredentialError` only.
        """
        asked = partial(self._batch, headers=headers)
        for answers in read_ahead(asked, blocks(paths, BATCH), self.options.concurrent_loads):
            yield from answers

    def batch_entries(self, paths: Sequence[str]) -> Iterator[list[Json] | RagError]:
        """The entries of the collection at each of `paths`, all pages of them, or what it stands for."""
        for path, answer in zip(paths, self.batch(paths), strict=True):
            if isinstance(answer, RagError):
                yield answer
                continue
            try:
                found = values_of(path, answer)
                if link := answer.get("@odata.nextLink"):
                    found = [*found, *self.entries(link)]
                yield found
            except CredentialError:
                raise
            except RagError as error:
                yield error

    def rest(self, site_url: str, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """The entries of a collection of SharePoint's own interface, below a site's ``/_api/web``."""
        client = self._site_client(site_url)

        def get(link: str, given: Mapping[str, Any] | None) -> Json:
            try:
                return _mapping(link, client.get_json(link, given, _NO_METADATA))
            except CredentialError as error:
                raise ForbiddenEntityError(
                    f"SharePoint's own interface refuses the login that Graph accepts ({error}); it takes "
                    "apps with a certificate only, and the permission SharePoint/Sites.FullControl.All"
                ) from error

        first = f"{site_url.rstrip('/')}/_api/web{path}"
        for page in _follow(get, first, params, "odata.nextLink"):
            yield from values_of(path, page)

    def download(self, url: str, size: int | None) -> bytes:
        """The content at an address that Graph gave for an hour; it takes no login."""
        try:
            return self._graph.get_bytes(url, self.options.max_bytes, size, anonymous=True)
        except (CredentialError, ForbiddenEntityError, MissingEntityError, GoneError, UsageError) as error:
            raise FetchError(f"the address of the content is not valid any more: {error}") from error

    def close(self) -> None:
        """Close all connections."""
        for client in (self._graph, *self._sites.values()):
            client.close()

    def _batch(self, paths: Sequence[str], headers: Mapping[str, str] | None) -> list[Json | RagError]:
        """The answers to what one request can ask; runs in threads."""
        more = {"headers": dict(headers)} if headers else {}
        urls = [self._own(path).removeprefix(self._graph.url) for path in paths]
        requests = [{"id": str(n), "method": "GET", "url": url, **more} for n, url in enumerate(urls)]
        try:
            answer = self._graph.post_json("/$batch", {"requests": requests})
            parts = {part.get("id"): part for part in values_of("/$batch", answer, "responses")}
        except CredentialError:
            raise
        except RagError as error:
            return [error] * len(paths)
        return [self._part(path, parts.get(str(n)), headers) for n, path in enumerate(paths)]

    def _part(self, path: str, part: Json | None, headers: Mapping[str, str] | None) -> Json | RagError:
        from rag_pipelines.http.statuses import error_of_status, is_passing

        status = part.get("status") if part else None
        if part is not None and status == 200 and isinstance(part.get("body"), dict):
            return part["body"]
        if isinstance(status, int) and status >= 400 and not is_passing(status) and status != 401:
            said = f"{path.partition('?')[0]} answered {status}: {_words(part)}"
            return error_of_status(status, said) or TransientError(said)
        try:
            return self.get(path, headers=headers)
        except CredentialError:
            raise
        except RagError as error:
            return error

    def _own(self, path: str) -> str:
        """Refuse a link that leads elsewhere, where the login would not go either."""
        if urlsplit(path).scheme and not path.startswith(self._graph.url):
            raise UsageError(f"the link {path.partition('?')[0]} does not lead to {self._graph.url}")
        return path

    def _site_client(self, site_url: str) -> RestClient:
        parts = urlsplit(site_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._sites:
            self._sites[origin] = self._client(origin)
        return self._sites[origin]

    def _client(self, url: str) -> RestClient:
        from rag_pipelines.http.credentials import BearerCredential

        parts = urlsplit(url)
        scope = f"{parts.scheme}://{parts.netloc}/.default"
        credential = BearerCredential([url], token_source(self.options, scope))
        return RestClient(url, self.options, credential, **self._transport)


def token_source(options: SharePointOptions, scope: str) -> TokenSource:
    """Where the app's tokens for `scope` come from. Raises `ConfigError` where its certificate is none."""
    from rag_pipelines.http import oauth

    url, client = options.token_url, options.client_id
    connection = {"patience": options.patience, "verify": options.verify}
    if options.client_secret is not None:
        secret = options.client_secret.get_secret_value().strip()
        return oauth.client_credentials(url, client, secret, scope, **connection)
    if options.token_file is not None:
        return oauth.workload_identity(url, client, options.token_file, scope, **connection)
    assert options.certificate is not None
    key, thumbprint = _read_certificate(options.certificate)
    return oauth.signed_client_credentials(
        url, client, key, scope, headers={"x5t#S256": thumbprint}, algorithm="PS256", **connection
    )


def values_of(path: str, page: Json, name: str = "value") -> list[Json]:
    """The entries of one answer."""
    found = page.get(name) if isinstance(page, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise TransientError(f"{path.partition('?')[0]} answered without the entries that belong there")
    return found


def _follow(
    get: Callable[[str, Mapping[str, Any] | None], Json],
    path: str,
    params: Mapping[str, Any] | None,
    link_name: str,
) -> Iterator[Json]:
    seen: set[str] = set()
    link: str | None = path
    while link is not None:
        page = get(link, params if link == path else None)
        yield page
        link = page.get(link_name)
        if link in seen:
            raise TransientError(f"{path}: the server repeats a page; the listing is not complete")
        if link is not None:
            seen.add(link)


def _mapping(path: str, answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise TransientError(f"{path.partition('?')[0]} answered with {type(answer).__name__}, not an object")
    return answer


def _words(part: Json | None) -> str:
    body = part.get("body") if part else None
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "no reason given"
    return f"{error.get('code', '')} {error.get('message', '')}".strip()[:300]


def _read_certificate(path: str) -> tuple[str, str]:
    """The private key of a PEM file, and its certificate's thumbprint as Entra wants it (x5t#S256)."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"certificate: {path!r} cannot be read: {error}") from error
    certificate, key = _CERTIFICATE.search(text), _KEY.search(text)
    if certificate is None or key is None:
        raise ConfigError(
            f"certificate: {path!r} holds no {'private key' if certificate else 'certificate'}; give one "
            "file in PEM format with both"
        )
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate[0])).digest()
    return key[0], base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
