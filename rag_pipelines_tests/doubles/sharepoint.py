"""A double of Microsoft Graph v1.0 and of the login in front of it, over a `Tenant`.

What belongs here: routes, roles of the app, batches, downloads. What does not: the state
(`sharepoint_state`), delta feeds (`sharepoint_feeds`), shapes of answers (`sharepoint_json`), SharePoint's
own interface (`sharepoint_rest`). Paths follow learn.microsoft.com/graph/api.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from rag_pipelines_tests.doubles import sharepoint_json as shapes
from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer
from rag_pipelines_tests.doubles.sharepoint_feeds import (
    Feeds,
    missing,
    preferences,
    problem,
    query_of,
    selected,
)
from rag_pipelines_tests.doubles.sharepoint_state import GROUP, OWNERS, USER, Place, Site, Tenant, Thing, Who
from rag_pipelines_tests.doubles.sharepoint_subscriptions import Subscriptions

Json = dict[str, Any]

CLIENT, SECRET = "app", "s3cret"
SITES, FULL_CONTROL, FILES = "Sites.Read.All", "Sites.FullControl.All", "Files.Read.All"
MEMBERS, PEOPLE = "GroupMember.Read.All", "User.Read.All"
BATCH = 20
_UNITS = ((r"/permissions", 5), (r"/delta\?.*token=", 1), (r"/delta", 2), (r"/transitiveMembers", 3))
"""Resource units of a request: learn.microsoft.com/sharepoint/dev/general-development/how-to-avoid-getting-
throttled-or-blocked-in-sharepoint-online; others cost one."""


class Graph(Server):
    """One server for Graph (``/v1.0``), the login and SharePoint's sites.

    Args:
        cap: entries in one answer at most, however many were asked for.
    """

    def __init__(self, tenant: Tenant, cap: int = 200, **server: Any) -> None:
        super().__init__("", **server)
        self.tenant = tenant
        self.cap = cap
        self.roles = {SITES, FULL_CONTROL, FILES, MEMBERS, PEOPLE}
        """Permissions that the app was granted."""
        self.secrets = {CLIENT: SECRET}
        self.with_certificate = False
        """Whether SharePoint's own interface refuses a token that was got with a secret, as it does."""
        self.units = 0
        self.malformed: set[str] = set()
        """Keys of things that are told without what tells their content."""
        self.lost: set[str] = set()
        """Keys of files whose content cannot be had."""
        self.refused: set[str] = set()
        """Keys of things whose permissions the app may not read."""
        self.feeds = Feeds(self)
        self.single_use = False
        """Whether a download address works only once, as if its hour were over then."""
        self.in_batch: list[tuple[str, int, Json]] = []
        """Faults inside of batches: a pattern of the address, a status, headers; each is used once."""
        self._tokens: dict[str, str] = {}
        self._tickets: dict[str, tuple[str, str]] = {}
        self._issued = 0
        self.route("/{tenant}/oauth2/v2.0/token", self._issue, "POST")
        self.route("/dl/{ticket}", self._download)
        self.route("/v1.0/$batch", self._batch, "POST")
        self.add("/sites/getAllSites", self._all_sites)
        self.add("/sites/{id}", self._one_site)
        self.add("/sites/{host}:/{path*}", self._site_by_path)
        self.add("/sites/{id}/sites", self._subsites)
        self.add("/sites/{id}/drives", self._drives)
        self.add("/sites/{id}/lists", self._lists)
        self.add("/sites/{id}/lists/{place}/columns", self._columns)
        self.add("/sites/{id}/lists/{place}/items/delta", self._list_delta)
        self.add("/sites/{id}/lists/{place}/items/{key}", self._list_item)
        self.add("/sites/{id}/pages/{guid}/microsoft.graph.sitePage", self._page)
        self.add("/drives/{place}/root/delta", self._drive_delta, FILES)
        self.add("/drives/{place}/items/{key}", self._item, FILES)
        self.add("/drives/{place}/items/{key}/permissions", self._permissions, FILES)
        self.add("/drives/{place}/root/permissions", self._permissions, FILES)
        self.add("/users", self._users, PEOPLE)
        self.add("/users/{key}", self._user, PEOPLE)
        self.add("/users/{key}/drive", self._user_drive, FILES)
        self.add("/groups/{key}/transitiveMembers", self._members, MEMBERS)
        self.add("/groups/{key}/owners", self._owners, MEMBERS)
        self.subscriptions = Subscriptions(self)

    @property
    def graph_url(self) -> str:
        return f"{self.url}/v1.0"

    @property
    def sites_url(self) -> str:
        """Where the sites are: another host, to which Graph's token does not belong."""
        return self.url.replace("127.0.0.1", "localhost")

    def add(self, path: str, handler: Callable[..., Any], role: str = SITES) -> None:
        """A route of Graph that needs an app role."""

        def answer(request: Request, **parameters: str) -> Any:
            if (refusal := self.refusal(request, "graph")) is not None:
                return refusal
            if role not in self.roles:
                return problem(403, "accessDenied", f"Access denied: {role} is not granted.")
            self.units += next((n for pattern, n in _UNITS if re.search(pattern, request.target)), 1)
            return handler(request, **parameters)

        self.route(f"/v1.0{path}", answer)

    def refusal(self, request: Request, audience: str) -> Answer | None:
        """What a request without a token for `audience` is answered."""
        kind, _, token = (request.headers.get("Authorization") or "").partition(" ")
        if kind != "Bearer" or self._tokens.get(token) != audience:
            return problem(401, "InvalidAuthenticationToken", "Access token is empty, expired or not ours.")
        return None

    def expire_tokens(self) -> None:
        """Every access token that was issued is refused from now on."""
        self._tokens.clear()

    # Logging in.

    def _issue(self, request: Request, tenant: str) -> Any:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        known = self.secrets.get(form.get("client_id", ""))
        certified = "client_assertion" in form
        if form.get("grant_type") != "client_credentials" or not known:
            return problem(400, "unauthorized_client", "AADSTS700016: Application not found.")
        if not certified and form.get("client_secret") != known:
            return json_answer({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        audience = "graph" if form["scope"].startswith(("https://graph.", self.url)) else "site"
        if audience == "site" and self.with_certificate and not certified:
            audience = "refused"
        self._issued += 1
        token = f"{audience}-{self._issued}"
        self._tokens[token] = audience
        return {"token_type": "Bearer", "expires_in": 3599, "access_token": token}

    # Sites.

    def _all_sites(self, request: Request) -> Any:
        found = [one for one in self.tenant.sites.values() if one.status != 404]
        return self.page_of(request, found, lambda one: shapes.site(self, one))

    def _one_site(self, request: Request, id: str) -> Any:
        return self._with_site(id, lambda site: shapes.site(self, site))

    def _site_by_path(self, request: Request, host: str, path: str) -> Any:
        wanted = path.rstrip("/").lower()
        found = next((one for one in self.tenant.sites.values() if one.path.lower() == wanted), None)
        if found is None or host != urlsplit(self.sites_url).netloc:
            return missing("site")
        return self._with_site(shapes.site_id(self, found), lambda site: shapes.site(self, site))

    def _subsites(self, request: Request, id: str) -> Any:
        def answer(site: Site) -> Any:
            found = [one for one in self.tenant.sites.values() if one.parent == site.key]
            return self.page_of(request, found, lambda one: shapes.site(self, one))

        return self._with_site(id, answer)

    def _drives(self, request: Request, id: str) -> Any:
        def answer(site: Site) -> Any:
            found = self.tenant.places_of(site.key, drive=True)
            return self.page_of(request, found, lambda one: shapes.drive(self, one))

        return self._with_site(id, answer)

    def _lists(self, request: Request, id: str) -> Any:
        def answer(site: Site) -> Any:
            found = [one for one in self.tenant.places.values() if one.site == site.key]
            found = [one for one in found if not one.system or "system" in request.one("$select")]
            return self.page_of(request, found, lambda one: shapes.listing(self, one))

        return self._with_site(id, answer)

    def _columns(self, request: Request, id: str, place: str) -> Any:
        return self._with_place(place, lambda one: self.page_of(request, shapes.columns(one)))

    # Libraries and lists.

    def _drive_delta(self, request: Request, place: str) -> Any:
        hierarchical = "hierarchicalsharing" in preferences(request) and FULL_CONTROL in self.roles

        def shape(library: Place, thing: Thing) -> Json:
            return shapes.item(self, library, thing, hierarchical, request.one("$expand"), feed=True)

        return self._with_place(place, lambda one: self.feeds.answer(request, one, shape))

    def _list_delta(self, request: Request, id: str, place: str) -> Any:
        def shape(listing: Place, thing: Thing) -> Json:
            return shapes.list_item(self, listing, thing, "fields" in request.one("$expand"))

        return self._with_place(place, lambda one: self.feeds.answer(request, one, shape))

    def _item(self, request: Request, place: str, key: str) -> Any:
        def answer(library: Place) -> Any:
            thing = library.root if key == library.root.key else library.things.get(key)
            if thing is None:
                return missing("item")
            raw = shapes.item(self, library, thing, False, expand=request.one("$expand"))
            if thing.kind == "file" and key not in self.lost:
                raw["@microsoft.graph.downloadUrl"] = self._ticket(library, thing)
            return selected(raw, request)

        return self._with_place(place, answer)

    def _list_item(self, request: Request, id: str, place: str, key: str) -> Any:
        def answer(listing: Place) -> Any:
            if key not in listing.things or key in self.lost:
                return missing("item")
            raw = shapes.list_item(self, listing, listing.things[key], "fields" in request.one("$expand"))
            return selected(raw, request)

        return self._with_place(place, answer)

    def _page(self, request: Request, id: str, guid: str) -> Any:
        layout = "canvasLayout" in request.one("$expand")
        for place in self.tenant.places_of(id.rpartition(",")[2], drive=False):
            for thing in place.things.values():
                if shapes.guid_of(place, thing) == guid and thing.key not in self.lost:
                    return shapes.site_page(self, place, thing, layout)
        return missing("page")

    def _permissions(self, request: Request, place: str, key: str | None = None) -> Any:
        def answer(library: Place) -> Any:
            thing = library.root if key in (None, library.root.key) else library.things.get(key or "")
            if thing is None:
                return missing("item")
            if thing.key in self.refused:
                return problem(403, "accessDenied", "Access denied")
            return self.page_of(request, shapes.permissions(self, library, thing))

        return self._with_place(place, answer)

    # Content, without a token.

    def _ticket(self, place: Place, thing: Thing) -> str:
        ticket = f"{len(self._tickets):06d}"
        self._tickets[ticket] = (place.key, thing.key)
        return f"{self.url}/dl/{ticket}"

    def expire_downloads(self) -> None:
        """Every address that was given out has had its hour."""
        self._tickets = dict.fromkeys(self._tickets, ("", ""))

    def _download(self, request: Request, ticket: str) -> Any:
        if request.headers.get("Authorization"):
            return problem(401, "unauthenticated", "This address takes no token.")
        place, key = self._tickets.get(ticket, ("", ""))
        if self.single_use:
            self._tickets[ticket] = ("", "")
        found = self.tenant.places.get(place)
        if found is None:
            return problem(401, "unauthenticated", "The address has expired.")
        if key not in found.things:
            return missing("item")
        return Answer(200, found.things[key].data, {"Content-Type": found.things[key].media_type})

    # People.

    def _users(self, request: Request) -> Any:
        def shape(one: Any) -> Json:
            return selected(shapes.person(one), request)

        return self.page_of(request, list(self.tenant.people.values()), shape)

    def _user(self, request: Request, key: str) -> Any:
        found = self._find_person(key)
        return missing("user") if found is None else selected(shapes.person(found), request)

    def _user_drive(self, request: Request, key: str) -> Any:
        person = self._find_person(key)
        for site in self.tenant.sites.values():
            if person is not None and site.personal == person.key:
                return shapes.drive(self, self.tenant.places_of(site.key, drive=True)[0])
        return problem(404, "ResourceNotFound", "User's mysite not found.")

    def _find_person(self, key: str) -> Any:
        people = self.tenant.people.values()
        return next((one for one in people if key.lower() in (one.key, one.upn.lower())), None)

    def _members(self, request: Request, key: str) -> Any:
        if key not in self.tenant.groups:
            return missing("group")
        found: dict[str, Json] = {}
        waiting: list[Who] = list(self.tenant.groups[key].members)
        while waiting:
            kind, inner = waiting.pop(0)
            if kind == USER and inner in self.tenant.people:
                person = shapes.person(self.tenant.people[inner])
                found[inner] = {"@odata.type": "#microsoft.graph.user", **person}
            elif kind in (GROUP, OWNERS) and inner in self.tenant.groups and inner not in found:
                group = self.tenant.groups[inner]
                described = {"id": inner, "displayName": group.name}
                found[inner] = {"@odata.type": "#microsoft.graph.group", **described}
                waiting += group.members
        return self.page_of(request, list(found.values()))

    def _owners(self, request: Request, key: str) -> Any:
        if key not in self.tenant.groups:
            return missing("group")
        owners = [self.tenant.people[one] for one in self.tenant.groups[key].owners]
        return self.page_of(
            request, owners, lambda one: {"@odata.type": "#microsoft.graph.user", **shapes.person(one)}
        )

    # Batches.

    def _batch(self, request: Request) -> Any:
        """Each part is answered by itself; the batch is fine whatever its parts are."""
        if (refusal := self.refusal(request, "graph")) is not None:
            return refusal
        parts = json.loads(request.body)["requests"]
        if len(parts) > BATCH:
            return problem(400, "BadRequest", f"Number of batched requests must not exceed {BATCH}.")
        responses = [self._part(request, part) for part in parts]
        return {"responses": responses[::-1]}

    def _part(self, request: Request, part: Json) -> Json:
        target = f"/v1.0{part['url']}"
        for fault in self.in_batch:
            if re.search(fault[0], target):
                self.in_batch.remove(fault)
                body = {"error": {"code": "fault", "message": "a fault of the test"}}
                return {"id": part["id"], "status": fault[1], "headers": fault[2], "body": body}
        parts = urlsplit(target)
        headers = {**part.get("headers", {}), "Authorization": request.headers.get("Authorization")}
        inner = replace(
            request,
            method=part["method"],
            target=target,
            path=unquote(parts.path),
            query=parse_qs(parts.query, keep_blank_values=True),
            headers=headers,
            body=b"",
        )
        self._run_hooks(inner)
        answer = self._answer(inner)
        return {
            "id": part["id"],
            "status": answer.status,
            "headers": dict(answer.headers),
            "body": json.loads(answer.body),
        }

    # Paging.

    def page_of(
        self, request: Request, found: Sequence[Any], shape: Callable[[Any], Json] = lambda raw: raw
    ) -> Json:
        start = int(request.one("$skiptoken") or 0)
        limit = min(request.number("$top", self.cap), self.cap)
        answer: Json = {"value": [shape(one) for one in found[start : start + limit]]}
        if start + limit < len(found):
            query = {**request.query, "$skiptoken": [str(start + limit)]}
            answer["@odata.nextLink"] = f"{self.url}{quote(request.path, safe='/,:')}?{query_of(query)}"
        return answer

    def _with_site(self, id: str, answer: Callable[[Site], Any]) -> Any:
        site = self.tenant.sites.get(id.rpartition(",")[2])
        if site is None or site.status == 404:
            return missing("site")
        if site.status != 200:
            return problem(site.status, "resourceLocked", "Access to this site has been blocked.")
        return answer(site)

    def _with_place(self, key: str, answer: Callable[[Place], Any]) -> Any:
        place = self.tenant.places.get(key)
        if place is None:
            return missing("drive")
        return self._with_site(place.site, lambda _: answer(place))
