"""What `source check` says of a Zendesk source: each interface tried, and what to grant where it is refused.

What belongs here: findings. What does not: anything that a run needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rag_pipelines.connectors.base import Finding
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.connectors.zendesk.site import ZendeskSite
from rag_pipelines.errors import RagError

ADMIN = "give the login to an admin of Zendesk Support, who is a Guide admin too; an OAuth client needs read"


def findings(sites: Mapping[str, ZendeskSite], options: ZendeskOptions) -> Iterator[Finding]:
    """The login, help centers, people and, where they count, tickets."""
    account = sites[options.url]
    yield _login(account, options.url)
    for address in options.help_centers:
        site = sites[address]
        yield _tried(site, f"help center {address}", "help_center/articles", {"page[size]": 1})
        yield _tried(site, f"sections {address}", "help_center/sections", {"page[size]": 1})
    if options.articles:
        yield _tried(account, "user segments", "help_center/user_segments", {"page[size]": 1})
    yield _tried(account, "users", "incremental/users/cursor", {"start_time": 0, "per_page": 1})
    for kind in ("organizations", "organization_memberships", "groups", "group_memberships"):
        yield _tried(account, kind, kind, {"page[size]": 1})
    if options.tickets:
        yield _tried(account, "tickets", "incremental/tickets/cursor", {"start_time": 0, "per_page": 1})
        yield _tried(account, "brands", "brands", {"page[size]": 1})
        yield _roles(account)


def _login(site: ZendeskSite, address: str) -> Finding:
    try:
        user = site.get("users/me").get("user") or {}
    except RagError as error:
        return Finding("account", False, str(error))
    if not user.get("id"):
        return Finding("account", False, "the login is not known to Zendesk, which answers as to a stranger")
    role = user.get("role")
    if role != "admin":
        return Finding("account", False, f"{address} answers; the login is of role {role}: {ADMIN}")
    return Finding("account", True, f"{address} answers to an admin")


def _tried(site: ZendeskSite, name: str, path: str, params: Mapping[str, Any]) -> Finding:
    try:
        site.get(path, **params)
    except RagError as error:
        return Finding(name, False, f"{error}; {ADMIN}")
    return Finding(name, True, f"{name} can be read")


def _roles(site: ZendeskSite) -> Finding:
    """Not every plan has custom roles."""
    try:
        site.get("custom_roles")
    except RagError:
        said = "cannot be read: agents who have one see only tickets that are assigned to them"
        return Finding("custom roles", True, said)
    return Finding("custom roles", True, "custom roles can be read")
