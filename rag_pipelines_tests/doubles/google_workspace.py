"""What all of a Workspace's APIs share, in a double: Google's token endpoint, the Admin Directory, paging.

What belongs here: logging in, scopes, the Admin SDK's Directory API
(developers.google.com/workspace/admin/directory/reference/rest/v1). What does not: Drive (`google_drive`).

Every request and every answer is held against Google's discovery documents; what does not fit is in
`problems`, which a test asserts to be empty. Answers hold what the field mask asks for and nothing else.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from rag_pipelines_tests.doubles.google_discovery import api, apply_mask, parse_mask
from rag_pipelines_tests.doubles.google_drive_files import Json, error
from rag_pipelines_tests.doubles.google_drive_state import Workspace
from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer

SERVICE_ACCOUNT = "sync@project.iam.gserviceaccount.com"
DRIVE_SCOPE = "https://www.googleapis.com/auth/drive.readonly"
USER_SCOPE = "https://www.googleapis.com/auth/admin.directory.user.readonly"
GROUP_SCOPE = "https://www.googleapis.com/auth/admin.directory.group.readonly"


class GoogleServer(Server):
    """A server for one `Workspace`; `google_drive` adds its routes.

    Args:
        cap: entries in one answer at most, however many were asked for.
    """

    def __init__(self, site: Workspace, cap: int, **server: Any) -> None:
        super().__init__(**server)
        self.site = site
        self.cap = cap
        self.delegated = {DRIVE_SCOPE, USER_SCOPE, GROUP_SCOPE}
        """Scopes that the service account may have on behalf of people."""
        self.admins: set[str] = set()
        self.refresh_tokens: dict[str, str] = {}
        """Whose they are."""
        self.tokens: dict[str, tuple[str, frozenset[str]]] = {}
        """Access tokens that are valid: whose, and for what."""
        self.revoked = False
        """Whether no token is given any more."""
        self.problems: list[str] = []
        self.repeated: set[str] = set()
        """Items that an answer names again after the one before."""
        self.refused: set[str] = set()
        """Items whose permissions, or groups whose members, may not be read."""
        self.suspended_apis: set[str] = set()
        """Accounts on whose behalf every request is refused."""
        self.stale = False
        """Whether tokens of pages and of changes are refused from now on."""
        self._issued = 0
        self.route("/token", self.token, "POST")
        for path, method, handler in (
            ("users", "users.list", self.users),
            ("groups", "groups.list", self.groups),
            ("groups/{id}/members", "members.list", self.members),
        ):
            self.add("directory", f"/admin/directory/v1/{path}", method, handler)

    # Logging in.

    def token(self, request: Request) -> Any:
        """RFC 7523 (a service account, with or without `sub`) and RFC 6749, 6 (a refresh token)."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        scopes = set(form.get("scope", DRIVE_SCOPE).split())
        if form.get("grant_type") == "refresh_token":
            email = self.refresh_tokens.get(form.get("refresh_token", ""))
        else:
            part = form["assertion"].split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            email = claims.get("sub", claims["iss"])
            scopes = set(claims["scope"].split())
            if "sub" in claims and scopes - self.delegated:
                said = "Client is unauthorized to retrieve access tokens using this method, or client not "
                said += "authorized for any of the scopes requested."
                return json_answer({"error": "unauthorized_client", "error_description": said}, 401)
        person = self.site.people.get(email or "")
        unknown = person is None or person.suspended or person.external
        if self.revoked or (email != SERVICE_ACCOUNT and unknown):
            return json_answer(
                {"error": "invalid_grant", "error_description": "Invalid email or User ID"}, 400
            )
        self._issued += 1
        value = f"ya29.{self._issued}"
        assert email is not None
        self.tokens[value] = (email, frozenset(scopes))
        return {"access_token": value, "expires_in": 3599, "token_type": "Bearer"}

    # Directory.

    def users(self, request: Request, me: str) -> Any:
        if refusal := self._refuse_stranger(request, me):
            return refusal
        every = [one for one in self.site.people.values() if not one.external]
        found = self.page(request, every, lambda one: True, 100, "maxResults")
        if isinstance(found, Answer):
            return found
        some, after = found
        answer: Json = {"kind": "admin#directory#users", "users": []}
        for one in some:
            described = {
                "kind": "admin#directory#user",
                "id": f"id-{one.email}",
                "primaryEmail": one.email,
                "name": {"fullName": one.name},
                "suspended": one.suspended,
                "archived": False,
                "isAdmin": one.email in self.admins,
            }
            answer["users"].append(described | ({"aliases": list(one.aliases)} if one.aliases else {}))
        return answer | ({"nextPageToken": after} if after else {})

    def groups(self, request: Request, me: str) -> Any:
        if refusal := self._refuse_stranger(request, me):
            return refusal
        found = self.page(request, list(self.site.groups.values()), lambda one: True, 200, "maxResults")
        if isinstance(found, Answer):
            return found
        some, after = found
        described = [
            {"kind": "admin#directory#group", "id": f"id-{one.email}", "email": one.email, "name": one.name}
            for one in some
        ]
        answer: Json = {"kind": "admin#directory#groups", "groups": described}
        return answer | ({"nextPageToken": after} if after else {})

    def members(self, request: Request, me: str, id: str) -> Any:
        group = self.site.groups.get(id)
        if me not in self.admins or id in self.refused:
            return error(403, "forbidden", "Not Authorized to access this resource/api")
        if group is None:
            return error(404, "notFound", f"Resource Not Found: groupKey {id}")
        found = self.page(request, group.members, lambda one: True, 200, "maxResults")
        if isinstance(found, Answer):
            return found
        some, after = found
        suspended = {one.email for one in self.site.people.values() if one.suspended}
        described = [
            {
                "kind": "admin#directory#member",
                "id": f"id-{one}",
                "email": one,
                "role": "MEMBER",
                "type": "GROUP" if one in self.site.groups else "USER",
                "status": "SUSPENDED" if one in suspended else "ACTIVE",
            }
            for one in some
        ]
        answer: Json = {"kind": "admin#directory#members", "members": described}
        return answer | ({"nextPageToken": after} if after else {})

    # What they share.

    def add(self, name: str, path: str, method: str, handler: Callable[..., Any]) -> None:
        """A route that wants a token of a fitting scope, and is held against the discovery document."""
        described = api(name)
        response = described.methods[method].get("response")

        def answer(request: Request, **parameters: str) -> Any:
            found = self.caller(request)
            if isinstance(found, Answer):
                return found
            me, scopes = found
            if me in self.suspended_apis:
                return error(403, "domainPolicy", "The domain administrators have disabled Drive apps.")
            if not scopes & described.scopes(method):
                said = "Request had insufficient authentication scopes."
                return error(403, "insufficientPermissions", said)
            self.problems += described.check_request(method, request.query)
            value = handler(request, me=me, **parameters)
            if isinstance(value, Answer) or response is None:
                return value
            self.problems += described.check_answer(response, value)
            return apply_mask(parse_mask(request.one("fields", "kind")), value)

        self.route(path, answer, described.methods[method]["httpMethod"])

    def caller(self, request: Request) -> tuple[str, frozenset[str]] | Answer:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.tokens.get(bearer) or error(401, "authError", "Invalid Credentials")

    def page(
        self,
        request: Request,
        every: list[Any],
        wanted: Callable[[Any], bool],
        default: int,
        size_name: str = "pageSize",
        among: Sequence[int] | None = None,
    ) -> tuple[list[Any], str] | Answer:
        """The entries of one page, and the token of the next; a token that is not ours is refused.

        `among`: only what stands at these places in `every` can be wanted.
        """
        token = request.one("pageToken")
        if token and (self.stale or not token.startswith("~!") or not token[2:].isdecimal()):
            return error(400, "invalid", "Invalid Value", "pageToken")
        start = int(token[2:] or 0)
        size = min(request.number(size_name, default), self.cap)
        found: list[Any] = []
        if start and getattr(every[start - 1], "id", "") in self.repeated:
            found.append(every[start - 1])
            size += 1
        places = range(len(every)) if among is None else among
        for position in places[bisect_left(places, start) :]:
            if len(found) >= size:
                return found, f"~!{position}"
            if wanted(every[position]):
                found.append(every[position])
        return found, ""

    def _refuse_stranger(self, request: Request, me: str) -> Answer | None:
        if request.one("customer") != "my_customer":
            return error(400, "invalid", "Invalid Input", "customer")
        if me not in self.admins:
            return error(403, "forbidden", "Not Authorized to access this resource/api")
        return None
