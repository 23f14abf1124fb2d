"""Which account the embedded server runs under when we are root, which Postgres refuses to be.

What belongs here: choosing the account and the rights it is given. What does not: the server and its
folder (`embedded`).

Nothing outside the server's own folder is changed, and no account is made. The account is that of the
cluster which is already there, else ``postgres``, else ``nobody``. A clone under ``/root`` is closed to all
of them; there the server's programs keep one right of root, that of passing through folders, by ``setpriv``
(util-linux). They cannot write where their account cannot, unless the container withholds the narrow right
from root and leaves only the wide one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_pipelines.errors import UsageError

_ACCOUNTS = ("postgres", "nobody")
_RIGHTS = {"dac_read_search": 2, "dac_override": 1}
"""Linux capabilities that pass through closed folders, the narrower first, by their numbers."""


@dataclass(frozen=True)
class ServerAccount:
    """An account and the capability it needs to reach the server's files; `closed` is what it cannot pass."""

    name: str
    uid: int
    gid: int
    capability: str | None = None
    closed: Path | None = None

    @property
    def program(self) -> list[str]:
        """What stands before a command that is to run with the capability.

        ``no_setuid_fixup`` lets access(2) see it, by which the server's programs find one another.
        """
        if self.capability is None:
            return []
        only = f"-all,+{self.capability}"
        return [
            *("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"),
            *(f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"),
            *("--securebits=+no_setuid_fixup", "--"),
        ]

    @property
    def identity(self) -> dict[str, Any]:
        """The arguments of `subprocess` that change to the account, where `program` does not."""
        if self.capability is not None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def __str__(self) -> str:
        if self.capability is None:
            return f"user {self.name!r}"
        return (
            f"user {self.name!r} with the right to pass through folders (CAP_{self.capability.upper()}), "
            f"because {self.closed} is closed to it"
        )


def server_account(cluster: Path, places: Iterable[Path]) -> ServerAccount | None:
    """The account for the server of `cluster`, which has to reach `places`; None unless we are root.

    Raises:
        UsageError: no account will do; says what was found and what can be done.
    """
    if os.geteuid() != 0:
        return None
    name, uid, gid = _existing_account(cluster)
    closed = [folder for place in places for folder in _closed_folders(place.resolve(), uid, gid)]
    if not closed:
        return ServerAccount(name, uid, gid)
    held = _effective_capabilities()
    capability = next((right for right, number in _RIGHTS.items() if held >> number & 1), None)
    if capability is None or shutil.which("setpriv") is None:
        missing = "root lacks CAP_DAC_READ_SEARCH here" if capability is None else "setpriv is not installed"
        raise unusable(f"the user {name!r} cannot pass through {_join_paths(closed)}, and {missing}", closed)
    return ServerAccount(name, uid, gid, capability, closed[0])


def unusable(found: str, closed: Iterable[Path] = ()) -> UsageError:
    """The error for a root whose server has no account to run under."""
    allow = f"; or allow it yourself: chmod o+x {_join_paths(closed, ' ')}" if closed else ""
    return UsageError(
        f"Postgres refuses to run as root, and {found}. Run as an ordinary user; or set RAG_DATABASE_URL to "
        "a Postgres of your own; or set data_dir to a folder that every user may pass through, such as "
        f"/var/lib/rag-pipelines, with the package installed in such a place too{allow}"
    )


def _existing_account(cluster: Path) -> tuple[str, int, int]:
    """Name, user and group number: the owner of the cluster, else the first account there is."""
    import pwd

    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        try:
            return pwd.getpwuid(owner.st_uid).pw_name, owner.st_uid, owner.st_gid
        except KeyError:
            return str(owner.st_uid), owner.st_uid, owner.st_gid
    known = {account.pw_name: account for account in pwd.getpwall()}
    for name in _ACCOUNTS:
        if name in known:
            return name, known[name].pw_uid, known[name].pw_gid
    raise unusable(f"there is no user {' or '.join(_ACCOUNTS)} on this machine to run it as")


def _closed_folders(place: Path, uid: int, gid: int) -> list[Path]:
    """The folders above `place` that the account may not pass through, outermost first."""
    return [above for above in reversed(place.parents) if not _may_pass(above.stat(), uid, gid)]


def _may_pass(folder: os.stat_result, uid: int, gid: int) -> bool:
    if folder.st_uid == uid:
        return bool(folder.st_mode & 0o100)
    return bool(folder.st_mode & (0o010 if folder.st_gid == gid else 0o001))


def _effective_capabilities() -> int:
    """The capabilities of this process as bits; 0 where the system has none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def _join_paths(folders: Iterable[Path], separator: str = ", ") -> str:
    return separator.join(dict.fromkeys(map(str, folders)))
