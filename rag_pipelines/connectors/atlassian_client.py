"""What the Confluence and Jira connectors share: how to log in, how to read, how to turn pages.

What belongs here: the settings of a site, requests by path, the three ways of paging that
Atlassian's interfaces have. What does not: retries and errors of HTTP (`http.session`), or what any
one endpoint's answer means (the connectors).

What of atlassian-python-api is used, and why not more. Requests go through its `AtlassianRestAPI.get`, over
our session: it puts paths below a site's address and writes their parameters. Its client classes
(`Confluence`, `Jira`) are built on that one method, and are left out because

- their listings end at the first page that is shorter than was asked for, although servers cap the page size
  (upstream issue 1598, `findings/atlassian_listing_stops_at_a_short_page.sh`), and follow `_links.next` of a
  Data Center site without its context path; a listing that ends early would delete documents
- their methods for one entity are one `get` each, no shorter than its path, but choose the version of the
  interface and the expansions by class, where the connectors choose by what a site answers; and they decode
  with `response.json()`, which keeps half a character where a server cut one in two, and no database stores
  that (`http.answers.decode_json`)
- their downloads read a file of any size into memory, and retries are the session's, which all requests of
  one credential share
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from rag_pipelines.connectors.rest import HttpOptions, SiteAddress, Trimmed, plain_params
from rag_pipelines.errors import TransientError

if TYPE_CHECKING:
    from rag_pipelines.http.session import Traffic

Json = dict[str, Any]

_GATEWAY = "api.atlassian.com"
_CLOUD_HOSTS = (".atlassian.net", ".jira.com", ".atlassian-us-gov-mod.net", _GATEWAY)


_SITE = SiteAddress(
    "https://acme.atlassian.net or https://wiki.example.com/confluence",
    "username and api_token",
    _CLOUD_HOSTS,
    has_path=True,
)


class AtlassianOptions(HttpOptions):
    """How to reach a Confluence or Jira site. Secrets come from the environment: ``${CONFLUENCE_TOKEN}``."""

    url: Annotated[str, AfterValidator(_SITE.read)] = Field(
        description="of the site, with its context path: https://wiki.example.com/confluence"
    )
    deployment: Literal["auto", "cloud", "data_center"] = Field(
        "auto", description="auto: cloud if the host is one of Atlassian's"
    )
    username: Trimmed = Field(
        None, description="account's e-mail address (cloud) or user name; with api_token"
    )
    api_token: SecretStr | None = Field(None, description="API token (cloud) or password; with username")
    personal_access_token: SecretStr | None = Field(None, description="of Data Center")
    oauth_token: SecretStr | None = Field(None, description="OAuth 2.0 access token")
    page_size: int = Field(
        250, ge=1, le=1000, description="entries asked for at once; the server may give fewer"
    )
    overlap: float = Field(
        5.0, ge=0, description="minutes an incremental poll goes back, for clocks that differ"
    )
    directory: Trimmed = Field(
        None,
        description="namespace of users and groups, shared by sources of one site; default: the URL's host",
    )

    @model_validator(mode="after")
    def _one_login(self) -> AtlassianOptions:
        ways = [
            name
            for name in ("api_token", "personal_access_token", "oauth_token")
            if (secret := getattr(self, name)) and secret.get_secret_value().strip()
        ]
        if len(ways) != 1:
            received = " and ".join(ways) or "none"
            raise ValueError(
                "give exactly one login: username with api_token, personal_access_token, or oauth_token; "
                f"received {received}"
            )
        if ways == ["api_token"] and not self.username:
            raise ValueError("api_token needs username: the account's e-mail address (cloud) or user name")
        if ways != ["api_token"] and self.username:
            raise ValueError(f"username goes with api_token only, not with {ways[0]}")
        return self

    @model_validator(mode="after")
    def _unambiguous(self) -> AtlassianOptions:
        if urlsplit(self.url).hostname == _GATEWAY and not self.directory:
            raise ValueError(f"{_GATEWAY} serves every site; give directory, as acme.atlassian.net")
        return self

    @property
    def is_cloud(self) -> bool:
        if self.deployment == "auto":
            return (urlsplit(self.url).hostname or "").endswith(_CLOUD_HOSTS)
        return self.deployment == "cloud"

    @property
    def directory_name(self) -> str:
        """The namespace of principals: ``user:<directory>/<account>``."""
        return self.directory or (urlsplit(self.url).hostname or "")

    @property
    def authorization(self) -> str:
        """The Authorization header; a secret."""
        if self.api_token is not None and self.username:
            pair = f"{self.username}:{self.api_token.get_secret_value().strip()}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        bearer = self.personal_access_token or self.oauth_token
        assert bearer is not None
        return "Bearer " + bearer.get_secret_value().strip()


class AtlassianClient:
    """Reads one site. Every method raises the errors of `rag_pipelines.errors` only:

    `CredentialError` (401, a login page), `ForbiddenEntityError` (403), `MissingEntityError` (404),
    `GoneError` (410: an expired cursor, begin the range anew; or an endpoint that was removed),
    `ThrottledError` and `TransientError` (after all retries), `UsageError` (other refusals).

    Paths are relative to the site, or links as answers give them: ``/rest/api/space``,
    ``/wiki/api/v2/pages?cursor=…``, or a URL of this site.

    Args:
        options: how to reach the site.
        context: a path below the site that all paths are relative to, ``/wiki`` for Confluence Cloud;
            added unless the URL ends with it.
        transport: replaces clock, random numbers or shared state in tests (`Transport`'s arguments).
    """

    def __init__(self, options: AtlassianOptions, context: str = "", **transport: Any) -> None:
        from atlassian.rest_client import AtlassianRestAPI

        from rag_pipelines.http.credentials import Credential
        from rag_pipelines.http.session import HttpSession, Transport

        self.url = options.url if options.url.endswith(context) else options.url + context
        self._context = context
        self._page_size = options.page_size
        credential = Credential(self.url, options.authorization)
        self._transport = Transport(
            credential,
            options.patience,
            at_once=options.concurrent_loads,
            per_minute=options.requests_per_minute,
            **transport,
        )
        self._session = HttpSession(credential, self._transport, options.verify)
        self._api = AtlassianRestAPI(
            self.url,
            session=self._session,
            cloud=options.is_cloud,
            backoff_and_retry=False,
            retry_with_header=False,
        )

    @property
    def traffic(self) -> Traffic:
        """Requests and bytes so far."""
        return self._transport.traffic

    def get_json(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer; values of `params` that are None are left out, lists are repeated."""
        from rag_pipelines.http.answers import decode_json

        response = self._api.get(self.relative(path), params=plain_params(params), advanced_mode=True)
        return decode_json(response.content)

    def get_bytes(self, path: str, max_bytes: int, size: int | None = None) -> bytes:
        """The content at `path`, an attachment say. Raises `TooLargeDocumentError` above `max_bytes`.

        A redirect to a media store is followed, without the credential. Give the `size` that a listing
        promised: without it, a file that breaks off is taken for whole where no header tells its length.
        """
        return self._session.get_bytes(f"{self.url}/{self.relative(path).lstrip('/')}", max_bytes, size)

    def follow_links(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Pages of an endpoint whose answers hold `_links.next` (Confluence v1 and v2), to the last.

        Both cursors and offsets come in that link; a page may be short, or empty, before the end.
        """
        seen: set[str] = set()
        page = self._page(path, {"limit": self._page_size, **(params or {})})
        while True:
            yield page
            link = (page.get("_links") or {}).get("next")
            if not link:
                return
            if link in seen:
                raise TransientError(
                    f"{path}: the server repeats the page {link!r}; the listing is not complete"
                )
            seen.add(link)
            page = self._page(link)

    def offset(
        self, path: str, params: Mapping[str, Any] | None = None, results: str | None = "values"
    ) -> Iterator[Json]:
        """Pages of an endpoint with `startAt` and `maxResults` (Jira), to the last.

        `results` names the entries in an answer; None for endpoints that answer with a bare list,
        which comes as ``{"values": [...]}``. The end is what `isLast` or `total` say; a bare list ends
        with an empty one.
        """
        start, before = 0, None
        while True:
            page = self._page(path, {"maxResults": self._page_size, **(params or {}), "startAt": start})
            entries = page.get(results or "values") or []
            yield page
            start += len(entries)
            if _is_last(page, entries, start):
                return
            if not entries or entries == before:
                raise TransientError(
                    f"{path}: {'the same' if entries else 'no'} entries before the last page; received "
                    f"{start}, promised {page.get('total', 'more')}; the listing is not complete"
                )
            before = entries

    def tokens(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Pages of an endpoint with `nextPageToken` (Jira Cloud: ``/rest/api/3/search/jql``), to the last."""
        seen: set[str] = set()
        token = None
        while True:
            page = self._page(path, {"maxResults": self._page_size, **(params or {}), "nextPageToken": token})
            yield page
            token = page.get("nextPageToken")
            if page.get("isLast") is True or (token is None and "isLast" not in page):
                return
            if token is None or token in seen:
                raise TransientError(
                    f"{path}: {'no' if token is None else 'a repeated'} nextPageToken before the last page; "
                    "the listing is not complete"
                )
            seen.add(token)

    def relative(self, link: str) -> str:
        """`link` as a path below the site: without host, and without the context path that links may hold."""
        parts = urlsplit(link)
        path = "/" + parts.path.lstrip("/")
        for prefix in (urlsplit(self.url).path, self._context):
            if prefix and path.startswith(prefix + "/"):
                path = path.removeprefix(prefix)
                break
        # The library strips slashes at the end, and a cursor may end with one.
        query = parts.query.replace("/", "%2F")
        return f"{path}?{query}" if query else path

    def close(self) -> None:
        self._api.close()

    def _page(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        answer = self.get_json(path, params)
        if isinstance(answer, list):
            return {"values": answer}
        if not isinstance(answer, dict):
            raise TransientError(f"{path} answered with {type(answer).__name__} instead of a page of entries")
        return answer


def _is_last(page: Json, entries: list[Any], end: int) -> bool:
    """Whether a page by offset is the last, by the best that it says about that."""
    if "isLast" in page:
        return bool(page["isLast"])
    return end >= page["total"] if "total" in page else not entries
