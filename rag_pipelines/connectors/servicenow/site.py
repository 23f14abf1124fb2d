"""Reads tables and files of one ServiceNow instance.

What belongs here: requests, pages, and whether everything was seen. What does not: what a table's rows mean.

Table API (ServiceNowDocs: markdown/api-reference/rest-apis/c_TableAPI.md). Pages go by the last row's
key, (sys_updated_on, sys_id) or sys_id alone, because offsets lose rows while rows change. ``sysparm_limit``
"is applied before ACL evaluation": rows that an access rule hides from the account are missing from a page
without a word, a page may even be empty before the end, and only ``X-Total-Count`` tells of them. A time in a
query that is plain text counts as UTC, as answers are with ``sysparm_display_value=false``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.rest import RestClient
from rag_pipelines.connectors.servicenow.options import ServiceNowOptions
from rag_pipelines.errors import ForbiddenEntityError, TransientError, UsageError

Row = Mapping[str, str]

IDS_AT_ONCE = 180
"""Ids of 32 letters in one query, so that its URL stays below the 8 kB that proxies allow."""

TOKEN_PATH = "/oauth_token.do"
_TRIED = 20
"""Rows that are read where one would do, because access rules may hide some."""
_NO_TABLE = "Invalid table"
_NEXT = re.compile(r"sysparm_offset=(\d+)[^>]*>;\s*rel=\"next\"")


class Page(NamedTuple):
    """Rows of a table, and whether an access rule hides some that should be among them."""

    rows: list[Row]
    hidden: bool


class ServiceNowSite:
    """One instance. Every method raises the errors of `rag_pipelines.errors` only."""

    def __init__(self, client: RestClient, page_size: int) -> None:
        self.client = client
        self._page_size = page_size

    @classmethod
    def of(cls, options: ServiceNowOptions) -> ServiceNowSite:
        """The instance that `options` name; nothing is asked yet."""
        from rag_pipelines.http import oauth
        from rag_pipelines.http.credentials import BearerCredential, Credential

        credential: Credential
        if options.username and options.password:
            pair = f"{options.username}:{options.password.get_secret_value()}"
            credential = Credential(options.url, "Basic " + base64.b64encode(pair.encode()).decode())
        else:
            assert options.client_id
            assert options.client_secret
            tokens = oauth.client_credentials(
                options.url + TOKEN_PATH,
                options.client_id,
                options.client_secret.get_secret_value(),
                patience=options.patience,
                verify=options.verify,
            )
            credential = BearerCredential([options.url], tokens)
        return cls(RestClient(options.url, options, credential), options.page_size)

    def pages(
        self, table: str, conditions: Sequence[str], fields: Sequence[str], *, by_time: bool = False
    ) -> Iterator[Page]:
        """Every row of a table that meets `conditions` (parts of an encoded query, joined by and).

        No `fields` stands for every field.

        By time, a row that changes meanwhile moves to the end and may come twice, but none is passed over.
        """
        order = ("sys_updated_on", "sys_id") if by_time else ("sys_id",)
        wanted = sorted({*fields, *order}) if fields else []
        orderly = [f"ORDERBY{field}" for field in order]
        last: tuple[str, ...] = ()
        offset = 0
        while True:
            query = [*conditions, *_after(order, last), *orderly]
            rows, total, step = self._read(table, query, wanted, self._page_size, offset)
            yield Page(rows, len(rows) < min(step, max(total - offset, 0)))
            if total - offset <= step:
                return
            if not rows:
                offset += step
                continue
            key = tuple(rows[-1][field] for field in order)
            if key <= last:
                raise TransientError(f"{table}: the instance repeats its pages; the listing is not complete")
            last, offset = key, 0

    def all(self, table: str, conditions: Sequence[str], fields: Sequence[str]) -> list[Row]:
        """Every row, by sys_id. Raises `ForbiddenEntityError` where an access rule hides some."""
        found: list[Row] = []
        for page in self.pages(table, conditions, fields):
            if page.hidden:
                raise hidden_rows(table)
            found += page.rows
        return found

    def among(
        self,
        table: str,
        columns: Sequence[str],
        ids: Sequence[str],
        conditions: Sequence[str],
        fields: Sequence[str],
    ) -> Iterator[tuple[Sequence[str], Page]]:
        """The rows that have one of `ids` in one of `columns`, some ids at a time; each with those ids."""
        for some in blocks(list(ids), IDS_AT_ONCE // len(columns)):
            chosen = "^OR".join(f"{column}IN{','.join(some)}" for column in columns)
            rows: list[Row] = []
            hidden = False
            for page in self.pages(table, [*conditions, chosen], fields):
                rows += page.rows
                hidden = hidden or page.hidden
            yield some, Page(rows, hidden)

    def count(self, table: str, conditions: Sequence[str]) -> int:
        """How many rows meet `conditions`, those included that the account may not see."""
        return self._read(table, conditions, ["sys_id"], 1, 0)[1]

    def has(self, table: str) -> bool:
        """Whether the instance has a table, which a plugin brings."""
        try:
            self._read(table, [], ["sys_id"], 1, 0)
        except UsageError as error:
            if _NO_TABLE in str(error):
                return False
            raise
        return True

    def sample(self, table: str, conditions: Sequence[str], limit: int) -> Page:
        """The first rows of a table."""
        rows, total, step = self._read(table, [*conditions, "ORDERBYsys_id"], ["sys_id"], limit, 0)
        return Page(rows, len(rows) < min(step, total))

    def newest(self, table: str) -> str | None:
        """The time of the latest change in a table that can be seen, by the instance's clock."""
        query = ["ORDERBYDESCsys_updated_on"]
        rows, _, _ = self._read(table, query, ["sys_id", "sys_updated_on"], _TRIED, 0)
        return rows[0]["sys_updated_on"] if rows else None

    def blind(self, table: str, fields: Sequence[str]) -> list[str]:
        """Those of `fields` whose values the account cannot read although it sees the rows.

        Tried with rows that have a value: an access rule of a field leaves it empty, as if nothing were set.
        """
        unread = []
        for field in fields:
            query = [f"{field}ISNOTEMPTY", "ORDERBYsys_id"]
            rows, total, _ = self._read(table, query, ["sys_id", field], _TRIED, 0)
            if total and not any(row.get(field) for row in rows):
                unread.append(field)
        return unread

    def file(self, sys_id: str, max_bytes: int, size: int | None) -> bytes:
        """The bytes of an attachment. Raises `TooLargeDocumentError` above `max_bytes`."""
        return self.client.get_bytes(f"/api/now/attachment/{sys_id}/file", max_bytes, size)

    def _read(
        self, table: str, query: Sequence[str], fields: Sequence[str], limit: int, offset: int
    ) -> tuple[list[Row], int, int]:
        """One page without repeated rows; how many rows there are in all; how many the page stands for."""
        answer = self.client.get_response(
            f"/api/now/table/{table}",
            {
                "sysparm_query": "^".join(query),
                "sysparm_fields": ",".join(fields) or None,
                "sysparm_limit": limit,
                "sysparm_offset": offset or None,
                "sysparm_display_value": "false",
                "sysparm_exclude_reference_link": "true",
            },
        )
        from rag_pipelines.http.answers import decode_json

        rows = decode_json(answer.content).get("result")
        total = answer.headers.get("X-Total-Count", "")
        if not isinstance(rows, list) or not total.isdigit():
            raise UsageError(
                f"{table}: the answer lacks result or X-Total-Count, so that it may not be whole; "
                "let proxies pass that header, and see that url is a ServiceNow instance"
            )
        following = _NEXT.search(answer.headers.get("Link", ""))
        step = int(following[1]) - offset if following else limit
        distinct = {str(row.get("sys_id", number)): _strings(row) for number, row in enumerate(rows)}
        return list(distinct.values()), int(total), max(step, 1)


def hidden_rows(table: str) -> ForbiddenEntityError:
    """Says that rows of a table are missing."""
    return ForbiddenEntityError(
        f"access rules hide rows of {table} from the account; give it a role that reads the whole table"
    )


def _after(order: Sequence[str], last: Sequence[str]) -> list[str]:
    """The conditions on what comes behind the key `last`: in the language there are no brackets."""
    if not last:
        return []
    if len(order) == 1:
        return [f"{order[0]}>{last[0]}"]
    first, second = order
    return [f"{first}>={last[0]}", f"{first}>{last[0]}^OR{second}>{last[1]}"]


def _strings(row: Mapping[str, object]) -> Row:
    """A row with every value as text; null is empty."""
    return {name: "" if value is None else str(value) for name, value in row.items()}
