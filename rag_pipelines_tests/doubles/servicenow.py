"""A ServiceNow instance over HTTP: Table API, Attachment API and the OAuth token endpoint.

What belongs here: paths and shapes of answers. What does not: what the tables hold (`servicenow_state`).

After ServiceNowDocs: c_TableAPI.md (``sysparm_limit`` "is applied before ACL evaluation", so that rows that
an access rule hides are missing from a page while ``X-Total-Count`` counts them), c_AttachmentAPI.md,
inbound-REST-API-rate-limiting.md (headers and body of a 429).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer
from rag_pipelines_tests.doubles.servicenow_query import InvalidQueryError, Query
from rag_pipelines_tests.doubles.servicenow_state import Instance, Row

DEFAULT_LIMIT = 10_000
_REFERENCES = {
    "kb_knowledge_base": "kb_knowledge_base",
    "kb_category": "kb_category",
    "author": "sys_user",
    "owner": "sys_user",
    "user": "sys_user",
    "group": "sys_user_group",
    "ownership_group": "sys_user_group",
    "role": "sys_user_role",
    "user_criteria": "user_criteria",
    "knowledge": "kb_knowledge",
    "knowledge_block": "kb_knowledge_block",
    "parent": "kb_knowledge",
}


class ServiceNow(Server):
    """Serves one instance. `clients` are OAuth client ids with their secrets."""

    def __init__(
        self,
        instance: Instance,
        *,
        logins: Mapping[str, str] | None = None,
        clients: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(logins=logins, **options)
        self.instance = instance
        self.clients = dict(clients or {})
        self.tokens = 0
        """How many access tokens were given out."""
        self.counts = True
        """Whether answers say how many rows there are."""
        self.cap = 10**9
        """Rows of one page at most."""
        self.malformed: set[str] = set()
        """sys_ids of rows that come without most of their fields."""
        self.repeated: set[str] = set()
        """sys_ids of rows that come twice."""
        self.blind: set[tuple[str, str]] = set()
        """Fields (table, field) whose values an access rule keeps from the account: they come empty."""
        self.left_out: set[str] = set()
        """sys_ids of bases whose articles listings in the order of time lack, and their counts too."""
        self._kept: tuple[int, dict[tuple[str, str], Any]] = (-1, {})
        self.route("/api/now/table/{table}", self.answer_table)
        self.route("/api/now/attachment/{sys_id}/file", self._file)

    def _answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("POST", "/oauth_token.do"):
            return self._token(request)
        return super()._answer(request)

    def _token(self, request: Request) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        known = self.clients.get(form.get("client_id", ""))
        if (
            form.get("grant_type") != "client_credentials"
            or known is None
            or known != form.get("client_secret")
        ):
            return json_answer({"error": "access_denied", "error_description": "access_denied"}, 401)
        self.tokens += 1
        token = f"token-{self.tokens}"
        assert self.logins is not None
        self.logins[f"Bearer {token}"] = "sync"
        answer = {"access_token": token, "scope": "useraccount", "token_type": "Bearer", "expires_in": 1799}
        return json_answer(answer)

    def answer_table(self, request: Request, table: str) -> Answer:
        """The Table API."""
        if table not in self.instance.tables:
            return refusal(400, f"Invalid table {table}")
        if table in self.instance.refused:
            return refusal(403, "User Not Authorized", "Failed API level ACL Validation")
        if request.one("sysparm_display_value", "false") != "false":
            return refusal(400, "display values are not served here")
        try:
            found = self._found(table, Query(request.one("sysparm_query")))
        except InvalidQueryError as error:
            return refusal(400, "Invalid query", str(error))
        if self.left_out and "ORDERBYsys_updated_on" in request.one("sysparm_query"):
            found = [row for row in found if row.get("kb_knowledge_base") not in self.left_out]
        offset = request.number("sysparm_offset", 0)
        limit = min(request.number("sysparm_limit", DEFAULT_LIMIT), self.cap)
        page = [row for row in found[offset : offset + limit] if row["sys_id"] not in self.instance.hidden]
        page += [row for row in page if row["sys_id"] in self.repeated]
        headers = {"X-Total-Count": str(len(found))} if self.counts else {}
        if offset + limit < len(found):
            headers["Link"] = ",".join(
                f'<https://instance.service-now.com{request.path}?sysparm_offset={at}&sysparm_limit={limit}>;rel="{rel}"'
                for rel, at in (("next", offset + limit), ("first", 0), ("last", len(found) // limit * limit))
            )
        return json_answer({"result": [self._shape(table, row, request) for row in page]}, headers=headers)

    def _found(self, table: str, query: Query) -> list[Any]:
        """The rows of a query; what its pages have in common is kept until something changes."""
        generation, kept = self._kept
        if generation != self.instance.generation:
            generation, kept = self._kept = (self.instance.generation, {})
        if (looked_up := query.looked_up) is not None:
            field, values = looked_up
            by_value = self._index(table, field)
            return query.narrow(
                query.choose(row for one in dict.fromkeys(values) for row in by_value.get(one, ()))
            )
        key = (table, query.standing)
        if key not in kept:
            kept[key] = query.choose(self.instance.rows(table).values())
        return query.narrow(kept[key])

    def _index(self, table: str, field: str) -> dict[str, list[Row]]:
        """The rows of a table by a field, kept until something changes."""
        indexes = self._kept[1]
        key = (table, f"by {field}")
        if key not in indexes:
            found: dict[str, list[Row]] = {}
            for row in self.instance.rows(table).values():
                if field not in row:
                    raise InvalidQueryError(f"no field {field!r}")
                found.setdefault(row[field], []).append(row)
            indexes[key] = found
        return indexes[key]

    def _shape(self, table: str, row: Row, request: Request) -> dict[str, Any]:
        wanted = request.list("sysparm_fields")
        shown = {name: row[name] for name in wanted if name in row} if wanted else dict(row)
        if self.blind:
            shown = {name: "" if (table, name) in self.blind else value for name, value in shown.items()}
        if row["sys_id"] in self.malformed:
            return {name: shown[name] for name in ("sys_id", "article_id", "sys_updated_on") if name in shown}
        if request.one("sysparm_exclude_reference_link", "false") == "true":
            return shown
        return {name: self._linked(name, value) for name, value in shown.items()}

    def _linked(self, name: str, value: str) -> Any:
        if name not in _REFERENCES or not value:
            return value
        return {"link": f"{self.url}/api/now/table/{_REFERENCES[name]}/{value}", "value": value}

    def _file(self, request: Request, sys_id: str) -> Answer:
        row = self.instance.tables["sys_attachment"].get(sys_id)
        if row is None or sys_id in self.instance.hidden:
            return refusal(
                404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval"
            )
        metadata = {name: row[name] for name in ("file_name", "size_bytes", "content_type", "sys_id")}
        headers = {"Content-Type": row["content_type"], "X-Attachment-Metadata": json.dumps(metadata)}
        return Answer(200, self.instance.files[sys_id], headers)


def refusal(status: int, message: str, detail: str | None = None) -> Answer:
    """An error as ServiceNow words it."""
    return json_answer({"error": {"message": message, "detail": detail}, "status": "failure"}, status)


def too_many(retry_after: str = "0", reset: str = "1767225600") -> Status:
    """The answer to one request too many in an hour."""
    return Status(
        429,
        retry_after=retry_after,
        headers={"X-RateLimit-Limit": "100", "X-RateLimit-Reset": reset, "X-RateLimit-Rule": "a" * 32},
        body=json.dumps(
            {
                "error": {
                    "message": "Rate limit exceeded",
                    "detail": "Rate limit of 100 requests per hour for Table API exceeded",
                },
                "status": "failure",
            }
        ),
    )
