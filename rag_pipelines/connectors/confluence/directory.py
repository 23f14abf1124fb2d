"""Who stands behind the principals that access rules name: spaces, groups and accounts.

What belongs here: the list of groups with members. What does not: rules of documents (`tree`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TypeVar

from rag_pipelines.connectors.base import Complete, Failure, Finding, Group
from rag_pipelines.connectors.confluence.census import Census
from rag_pipelines.connectors.confluence.content import Json
from rag_pipelines.connectors.confluence.site import ConfluenceSite
from rag_pipelines.errors import CredentialError, RagError, TransientError

T = TypeVar("T")

_NOT_UNDERSTOOD = (KeyError, TypeError, AttributeError)
_SAMPLE = 20


class PeopleDirectory:
    """One listing of the people of a site."""

    def __init__(self, site: ConfluenceSite) -> None:
        self._site = site
        self._accounts: dict[str, Group] = {}
        self._named: set[str] = set()
        """Accounts that a space names."""
        self._whole = True

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """Spaces, groups and accounts, each with its members; see `Connector.groups`."""
        count = 0
        for entry in chain(self._spaces(), self._groups(), self._people()):
            count += isinstance(entry, Group)
            yield entry
        yield Complete(count, full=self._whole)

    def check(self) -> Finding:
        """Whether accounts stand for e-mail addresses, tried on a few: else nobody may read anything."""
        try:
            members = chain.from_iterable(map(self._site.members, self._site.groups()))
            some = [self._account(raw) for raw in islice(members, _SAMPLE)]
        except (RagError, *_NOT_UNDERSTOOD) as error:
            return Finding("people", False, f"groups and their members cannot be read: {error}")
        known = sum(bool(account.members) for account in some)
        fine = bool(known) or self._site.options.emails == "none"
        advice = "" if fine else "; callers are known by their address, so set email_template"
        return Finding("people", fine, f"{known} of {len(some)} accounts have an address{advice}")

    def _spaces(self) -> Iterator[Group | Failure]:
        for space in Census(self._site).spaces():
            if isinstance(space, Failure):
                self._whole = False
                yield space
                continue
            principal = self._site.principals.space(space.key)
            readers = _attempt(partial(self._site.space_readers, space), principal)
            if isinstance(readers, Failure):
                yield readers
                continue
            self._named.update(one for one in readers if one.startswith(self._site.principals.account("")))
            yield Group(principal=principal, name=space.name, members=readers)

    def _groups(self) -> Iterator[Group | Failure]:
        listed = _attempt(lambda: list(self._site.groups()), "groups")
        if isinstance(listed, Failure):
            self._whole = False
            yield listed
            return
        for raw in listed:
            principal = self._site.principals.group(raw)
            accounts = _attempt(partial(self._members, raw), principal)
            if isinstance(accounts, Failure):
                self._whole = False  # its accounts may be known from nowhere else
                yield accounts
                continue
            yield Group(principal=principal, name=raw.get("name") or "", members=tuple(sorted(accounts)))

    def _people(self) -> Iterator[Group | Failure]:
        """The members of groups, and whom a space names without a group."""
        prefix = self._site.principals.account("")
        keys = sorted(one.removeprefix(prefix) for one in self._named - self._accounts.keys())
        strangers = _attempt(lambda: [self._account(raw) for raw in self._site.people(keys)], "accounts")
        if isinstance(strangers, Failure):
            self._whole = False
            yield strangers
        else:
            self._accounts.update((account.principal, account) for account in strangers)
        yield from self._accounts.values()

    def _members(self, group: Json) -> set[str]:
        accounts = {account.principal: account for account in map(self._account, self._site.members(group))}
        self._accounts.update(accounts)
        return set(accounts)

    def _account(self, raw: Json) -> Group:
        """An account, which stands for its e-mail address where that is known."""
        options = self._site.options
        address = raw.get("email") if options.emails == "visible" else None
        if not address and options.email_template and raw.get("username"):
            address = options.email_template.replace("{username}", raw["username"])
        return Group(
            principal=self._site.principals.user(raw),
            name=raw.get("displayName") or raw.get("publicName") or "",
            members=(f"user:{address.lower()}",) if address else (),
        )


def _attempt(read: Callable[[], T], entity: str) -> T | Failure:
    """What `read` returns, or the failure of `entity`."""
    try:
        return read()
    except CredentialError:
        raise
    except RagError as error:
        return Failure(error=error, entity=entity)
    except _NOT_UNDERSTOOD as error:
        reason = TransientError(f"{entity}: the answer is not understood: {type(error).__name__}: {error}")
        return Failure(error=reason, entity=entity)
