"""The drives that the options choose: shared drives, and My Drives of people.

What belongs here: which there are, and as whom each is read. What does not: what is in them (`listing`).

A shared drive is read as the account itself, or with `domain_admin` on behalf of one of its managers: only
they see into every folder with limited access.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from rag_pipelines.connectors.ahead import read_ahead
from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.google_drive.api import DirectoryApi, DriveApi
from rag_pipelines.connectors.google_drive.files import Permission, read_permission, text_of
from rag_pipelines.connectors.google_drive.login import SELF, Logins
from rag_pipelines.connectors.google_drive.options import ALL, ME, GoogleDriveOptions
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, RagError

T = TypeVar("T")

_RANKS = ("organizer", "fileOrganizer", "writer", "commenter", "reader")


class Scope(msgspec.Struct, frozen=True):
    """One drive. `account` reads it; `drive` is a shared drive's id, else it is My Drive of `owner`."""

    account: str
    name: str
    drive: str | None = None
    owner: str = ""
    members_only: bool = False
    """Whether only members may read what is in the shared drive, however it was shared."""
    chosen: bool = True
    """False: a place outside of the chosen drives, where a shortcut leads."""

    @property
    def key(self) -> str:
        """By what its log is known; a drive that is kept to members is another, because every rule is."""
        if not self.chosen:
            return f"outside/{self.account}"
        if self.drive is None:
            return f"user/{self.owner}"
        return f"drive/{self.drive}/members" if self.members_only else f"drive/{self.drive}"


def told(answer: T | RagError) -> T:
    """An answer of `Workspace.at_once`, or the error that it is."""
    if isinstance(answer, RagError):
        raise answer
    return answer


class Workspace:
    """Drive and directory for one run: who is asked, and which drives there are."""

    def __init__(self, options: GoogleDriveOptions, logins: Logins) -> None:
        self.options = options
        self.logins = logins
        self._scopes: list[Scope] | None = None
        self._unseen: list[Failure] = []

    def as_account(self, account: str) -> DriveApi:
        return DriveApi(self.logins.drive(account), self.options)

    def directory(self) -> DirectoryApi:
        return DirectoryApi(self.logins.directory(), self.options)

    def at_once(self, read: Callable[[str], T], keys: Sequence[str]) -> dict[str, T | RagError]:
        """What `read` says of each key, or why it says nothing; as many at a time as contents are loaded."""

        def attempt(key: str) -> T | RagError:
            try:
                return read(key)
            except RagError as error:
                return error

        if len(keys) < 2:
            return {key: attempt(key) for key in keys}
        return dict(zip(keys, read_ahead(attempt, keys, self.options.concurrent_loads), strict=True))

    def permissions(self, account: str, ids: Sequence[str]) -> dict[str, list[Permission] | RagError]:
        """What is granted on each of some files or folders."""
        api = self.as_account(account)
        return self.at_once(lambda id: [read_permission(one) for one in api.permissions(id)], ids)

    def scopes(self) -> Iterator[Scope | Failure]:
        """The chosen drives, asked for once; what was chosen by its id and is not there is a failure.

        Raises what ends the listing: nothing is known then of which drives there are.
        """
        if self._scopes is None:
            self._unseen = []
            self._scopes = [*self._shared_drives(), *self._my_drives()]
        yield from self._unseen
        yield from self._scopes

    @property
    def owners(self) -> frozenset[str]:
        """Whose My Drives are chosen."""
        return frozenset(one.owner for one in self._scopes or () if one.drive is None)

    @property
    def drives(self) -> frozenset[str]:
        """The ids of the chosen shared drives."""
        return frozenset(one.drive for one in self._scopes or () if one.drive is not None)

    def _shared_drives(self) -> Iterator[Scope]:
        options = self.options
        if not options.shared_drives:
            return
        found: set[str] = set()
        for raw in self.as_account(self.logins.main).drives(as_admin=options.domain_admin):
            id = text_of(raw, "id")
            if id in found or not options.chooses_drive(id):
                continue
            found.add(id)
            account = self._manager(id, raw.get("name") or id) if options.domain_admin else self.logins.main
            if account is not None:
                restricted = (raw.get("restrictions") or {}).get("driveMembersOnly") is True
                yield Scope(account, raw.get("name") or id, drive=id, members_only=restricted)
        for id in options.shared_drives:
            if id != ALL and id not in found and options.chooses_drive(id):
                error = ForbiddenEntityError(
                    f"shared drive {id} is not among those that {self.logins.name} sees; make the account a "
                    "manager of it, or take the id out of shared_drives if the drive is gone"
                )
                self._unseen.append(Failure(error=error, entity=f"shared drive {id}"))

    def _manager(self, id: str, name: str) -> str | None:
        """Whom to read a drive as: the best of its members who are of the organisation."""
        try:
            raw = self.as_account(self.logins.main).permissions(id, as_admin=True)
            members = [read_permission(one) for one in raw]
            for one in sorted(members, key=self._rank):
                for address in self._people(one):
                    return address
        except CredentialError:
            raise
        except RagError as error:
            self._unseen.append(Failure(error=error, entity=f"shared drive {name}"))
            return None
        missing = ForbiddenEntityError(
            f"nobody of the organisation is a member of shared drive {name!r} ({id}), so nobody can read it; "
            "add a manager, or name it in exclude_shared_drives"
        )
        self._unseen.append(Failure(error=missing, entity=f"shared drive {name}"))
        return None

    def _people(self, member: Permission) -> Iterator[str]:
        """Accounts of the organisation that are, or are behind, a member; the subject first."""
        address = (member.email_address or "").lower()
        if member.deleted or member.role not in _RANKS:
            return
        if member.type == "user" and self._is_own(address):
            yield address
        elif member.type == "group":
            inside = [one for one in self.directory().members(address) if one.get("status") == "ACTIVE"]
            people = [text_of(one, "email").lower() for one in inside if one.get("type") == "USER"]
            yield from sorted(filter(self._is_own, people), key=lambda one: one != self.options.subject)

    def _rank(self, member: Permission) -> tuple[int, bool]:
        """Managers first, and among equals the subject."""
        role = _RANKS.index(member.role) if member.role in _RANKS else len(_RANKS)
        return role, (member.email_address or "").lower() != self.options.subject

    def _is_own(self, address: str) -> bool:
        domain = address.partition("@")[2]
        return domain in self.options.own_domains or domain == (self.options.subject or "@").partition("@")[2]

    def _my_drives(self) -> Iterator[Scope]:
        options = self.options
        addresses = {address: address for address in options.users if address not in (ALL, ME)}
        if ME in options.users:
            address = self.as_account(self.logins.main).me()
            addresses[address] = self.logins.main or SELF
        if ALL in options.users:
            for user in self.directory().users():
                address = text_of(user, "primaryEmail").lower()
                if not user.get("suspended") and not user.get("archived"):
                    addresses.setdefault(address, address)
        for address, account in addresses.items():
            if address not in options.exclude_users:
                yield Scope(account, address, owner=address)
