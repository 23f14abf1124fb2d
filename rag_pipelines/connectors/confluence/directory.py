"""Who stands behind the principals that access rules name: spaces, groups and accounts.

What belongs here: the list of groups with members. What does not: rules of documents (`tree`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from rag_pipelines.connectors.base import Complete, Failure, Group
from rag_pipelines.connectors.confluence.census import Census
from rag_pipelines.connectors.confluence.content import Json
from rag_pipelines.connectors.confluence.site import Site
from rag_pipelines.connectors.confluence.tree import Tree
from rag_pipelines.errors import CredentialError, RagError, TransientError

T = TypeVar("T")

_NOT_UNDERSTOOD = (KeyError, TypeError, AttributeError)


def groups(site: Site) -> Iterator[Group | Failure | Complete]:
    """Spaces, groups and accounts, each with its members; see `Connector.groups`."""
    accounts: dict[str, tuple[str, str | None]] = {}
    named: set[str] = set()
    count = 0
    whole = True

    for space in Census(site, Tree(site)).spaces():
        if isinstance(space, Failure):
            whole = False
            yield space
            continue
        count += 1
        principal = site.principals.space(space.key)
        readers = _attempt(partial(site.space_readers, space), principal)
        if isinstance(readers, Failure):
            yield readers
            continue
        named.update(one for one in readers if one.startswith(site.principals.account("")))
        yield Group(principal=principal, name=space.name, members=readers)

    listed = _attempt(lambda: list(site.groups()), "groups")
    if isinstance(listed, Failure):
        whole = False
        yield listed
        listed = []
    for raw in listed:
        count += 1
        principal = site.principals.group(raw)
        members = _attempt(lambda raw=raw: list(site.members(raw)), principal)  # type: ignore[misc]
        if isinstance(members, Failure):
            whole = False  # its accounts may be known from nowhere else
            yield members
            continue
        people = {site.principals.user(member): member for member in members}
        accounts.update((account, _account(site, member)) for account, member in people.items())
        yield Group(principal=principal, name=raw.get("name") or "", members=tuple(sorted(people)))

    keys = sorted(one.removeprefix(site.principals.account("")) for one in named - accounts.keys())
    strangers = _attempt(lambda: list(site.people(keys)), "accounts")
    if isinstance(strangers, Failure):
        whole = False
        yield strangers
        strangers = []
    accounts.update((site.principals.user(raw), _account(site, raw)) for raw in strangers)

    for principal, (name, address) in accounts.items():
        count += 1
        yield Group(principal=principal, name=name, members=(f"user:{address}",) if address else ())
    yield Complete(count, full=whole)


def _account(site: Site, raw: Json) -> tuple[str, str | None]:
    """The name of an account and the e-mail address it stands for, if any."""
    options = site.options
    address = raw.get("email") if options.emails == "visible" else None
    if not address and options.email_template and raw.get("username"):
        address = options.email_template.replace("{username}", raw["username"])
    return raw.get("displayName") or raw.get("publicName") or "", address.lower() if address else None


def _attempt(read: Callable[[], T], entity: str) -> T | Failure:
    try:
        return read()
    except CredentialError:
        raise
    except RagError as error:
        return Failure(error=error, entity=entity)
    except _NOT_UNDERSTOOD as error:
        reason = TransientError(f"{entity}: the answer is not understood: {type(error).__name__}: {error}")
        return Failure(error=reason, entity=entity)
