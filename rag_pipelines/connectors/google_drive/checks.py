"""What `source check` says of a Google Drive source: each part tried, and what to grant where it fails.

What belongs here: findings. What does not: anything that a run needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from rag_pipelines.connectors.base import Failure, Finding
from rag_pipelines.connectors.google_drive.login import DRIVE_SCOPE, GROUP_SCOPE, USER_SCOPE, Logins
from rag_pipelines.connectors.google_drive.scopes import Scope, Workspace
from rag_pipelines.errors import RagError

T = TypeVar("T")

_TRIED = 5
"""So many drives are looked into."""


def findings(workspace: Workspace) -> Iterator[Finding]:
    """Login, directory, drives, and whether they can be read whole."""
    options, logins = workspace.options, workspace.logins
    main = workspace.as_account(logins.main)
    try:
        yield Finding("login", True, f"Drive knows us as {main.me() or logins.name}")
    except RagError as error:
        yield Finding("login", False, _advice(logins, error, DRIVE_SCOPE))
        return
    if options.reads_directory:
        directory = workspace.directory()
        yield _tried(logins, "users", USER_SCOPE, lambda: list(islice(directory.users(), 1)))
        yield _tried(logins, "groups", GROUP_SCOPE, lambda: list(islice(directory.groups(), 1)))
    else:
        yield Finding(
            "directory",
            True,
            "not read: members of Google groups read nothing, suspended accounts are not known",
        )
    try:
        found = list(workspace.scopes())
    except RagError as error:
        yield Finding("drives", False, _advice(logins, error, DRIVE_SCOPE))
        return
    for failure in found:
        if isinstance(failure, Failure):
            yield Finding(str(failure.entity), False, str(failure.error))
    scopes = [one for one in found if isinstance(one, Scope)]
    named = ", ".join(one.name for one in scopes[:10]) + (" …" if len(scopes) > 10 else "")
    advice = "" if scopes else "; add the account to a shared drive, or look at shared_drives and users"
    yield Finding("drives", bool(scopes), f"{len(scopes)} to list: {named}{advice}")
    for scope in scopes[:_TRIED]:
        yield _drive(workspace, scope)


def _drive(workspace: Workspace, scope: Scope) -> Finding:
    """Whether a drive can be listed, and its members be read."""
    api = workspace.as_account(scope.account)
    try:
        some = list(islice(api.files("trashed = false", "id", scope.drive), 1))
        members = list(api.permissions(scope.drive)) if scope.drive else []
    except RagError as error:
        return Finding(scope.name, False, _advice(workspace.logins, error, DRIVE_SCOPE))
    what = f"{'some' if some else 'no'} files"
    return Finding(scope.name, True, f"{what}, {len(members)} members" if scope.drive else what)


def _tried(logins: Logins, name: str, scope: str, read: Callable[[], list[T]]) -> Finding:
    try:
        read()
        return Finding(name, True, f"the directory tells its {name}")
    except RagError as error:
        return Finding(name, False, _advice(logins, error, scope))


def _advice(logins: Logins, error: RagError, scope: str) -> str:
    """What to do about a refusal: which scope is missing, and where it is granted."""
    text = str(error)
    if "unauthorized_client" in text or "insufficient authentication scopes" in text:
        number = logins.client_number or "of the service account"
        return (
            f"{text}; the scope {scope} is missing: in the Admin console, under Security, API controls, "
            f"Domain-wide delegation, add it to the client {number}"
        )
    if "Not Authorized to access this resource" in text:
        return (
            f"{text}; {logins.name} is no administrator who may read users and groups: give the account a "
            "role with the privileges Users > Read and Groups > Read"
        )
    return text
