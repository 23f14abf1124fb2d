"""Reads lists and exports of one Zendesk account.

What belongs here: requests and pages. What does not: what rows mean.

developer.zendesk.com: api-reference/introduction/security-and-auth (``email/token:token``, bearer tokens),
api-reference/ticketing/oauth/grant_type_tokens (client credentials, "formatted as JSON"),
api-reference/introduction/pagination (``page[size]``, ``meta.has_more``, ``after_cursor``),
documentation/ticketing/managing-tickets/using-the-incremental-export-api (``after_cursor``,
``end_of_stream``; what changed in the last minute is left out; ten requests a minute),
documentation/help_center/help-center-api/understanding-incremental-article-exports (the next page begins at
the time that this one ended with).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rag_pipelines.connectors.rest import RestClient
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.errors import GoneError, TransientError, UsageError

Row = Mapping[str, Any]

TOKEN_PATH = "/oauth/tokens"


class ExportPage(NamedTuple):
    """Rows of an export, and where the next page begins."""

    rows: list[Row]
    after: str


class ZendeskSite:
    """One account, or the help center of one of its brands. Raises the errors of `rag_pipelines.errors`."""

    def __init__(self, client: RestClient, page_size: int) -> None:
        self.client = client
        self._page_size = page_size

    @classmethod
    def all_of(cls, options: ZendeskOptions) -> dict[str, ZendeskSite]:
        """By address, the account and its help centers; nothing is asked yet."""
        from rag_pipelines.http import oauth
        from rag_pipelines.http.credentials import BearerCredential, Credential

        addresses = dict.fromkeys((options.url, *options.help_centers))
        if options.client_id and options.client_secret:
            tokens = oauth.client_credentials(
                options.url + TOKEN_PATH,
                options.client_id,
                options.client_secret.get_secret_value(),
                "read",
                patience=options.patience,
                verify=options.verify,
                as_json=True,
            )
            credentials: dict[str, Credential] = {
                one: BearerCredential(list(addresses), tokens) for one in addresses
            }
        else:
            credentials = {one: Credential(one, _authorization(options)) for one in addresses}
        return {
            one: cls(RestClient(one, options, credential), options.page_size)
            for one, credential in credentials.items()
        }

    def get(self, path: str, **params: Any) -> Mapping[str, Any]:
        """One answer, an object."""
        answer = self.client.get_json(f"/api/v2/{path}", params)
        if not isinstance(answer, dict):
            raise _strange(path)
        return answer

    def rows(self, path: str, name: str, **params: Any) -> Iterator[Row]:
        """Every row of a list, page by page."""
        asked = {"page[size]": self._page_size, **params}
        after: str | None = None
        while True:
            answer = self.get(path, **asked, **({"page[after]": after} if after else {}))
            rows, meta = answer.get(name), answer.get("meta") or {}
            if not isinstance(rows, list):
                raise _strange(path)
            yield from rows
            if not meta.get("has_more"):
                return
            following = meta.get("after_cursor")
            if not following or following == after:
                raise TransientError(f"{path}: Zendesk repeats its pages; the listing is not complete")
            after = following

    def export(self, kind: str, cursor: str | None) -> Iterator[ExportPage]:
        """What changed since `cursor`, or ever, in the order of changes."""
        where: dict[str, Any] = {"cursor": cursor} if cursor else {"start_time": 0}
        while True:
            answer = self.get(f"incremental/{kind}/cursor", **where)
            rows, after = answer.get(kind), answer.get("after_cursor")
            if not isinstance(rows, list):
                raise _strange(kind)
            yield ExportPage(rows, after or cursor or "")
            if answer.get("end_of_stream") is True:
                return
            if not after or after == where.get("cursor"):
                raise TransientError(f"the export of {kind} does not advance")
            where = {"cursor": after}

    def changed_articles(self, since: int) -> Iterator[Row]:
        """Articles whose metadata changed since a moment (seconds since 1970), some of them repeatedly.

        Raises `GoneError` where more changed in one second than a page holds.
        """
        while True:
            answer = self.get("help_center/incremental/articles", start_time=since)
            rows, end = answer.get("articles"), answer.get("end_time")
            if not isinstance(rows, list):
                raise _strange("articles")
            yield from rows
            if not answer.get("next_page"):
                return
            if not isinstance(end, int) or end <= since:
                raise GoneError("more articles changed in one second than Zendesk names")
            since = end


def _authorization(options: ZendeskOptions) -> str:
    if options.oauth_token:
        return f"Bearer {options.oauth_token.get_secret_value()}"
    assert options.api_token
    pair = f"{options.email}/token:{options.api_token.get_secret_value()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _strange(what: str) -> UsageError:
    return UsageError(f"{what}: the answer lacks its list; see that url is a Zendesk account")
