"""From an HTTP status to the error of the project's tree that it stands for: the one place that says so.

What belongs here: what a status means, and to which kind of client. What does not: bodies (`answers`),
waiting and trying again (`throttle`, `pacing`).
"""

from __future__ import annotations

from typing import NamedTuple

from rag_pipelines.errors import (
    CredentialError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    ThrottledError,
    TransientError,
    UsageError,
)

PASSING = frozenset({408, 409, 425, 429})
"""Refusals that the same request may be spared later; 409 is what a model that is being loaded answers."""

PERMANENT = frozenset({501, 505})
"""Faults of a server that no wait mends."""


class Meaning(NamedTuple):
    """The error of a refusal, and what to do about it."""

    error: type[RagError]
    advice: str = ""


class Meanings(NamedTuple):
    """What refusals mean to one kind of client: by default to one that reads many entities of one system."""

    unauthorised: Meaning = Meaning(
        CredentialError, "the login was refused: renew the token, or check whose it is"
    )
    forbidden: Meaning = Meaning(ForbiddenEntityError, "the login is valid but may not read this")
    missing: Meaning = Meaning(MissingEntityError)
    refused: Meaning = Meaning(UsageError)


ENTITIES = Meanings()


def error_of_status(
    status: int, said: str, wait: float | None = None, meanings: Meanings = ENTITIES
) -> RagError | None:
    """The error that `status` stands for, or None below 400.

    Args:
        said: who answered what; the message begins with it.
        wait: seconds that the answer asks for.
    """
    if status < 400:
        return None
    if is_passing(status):
        throttled = status == 429 or wait is not None
        return ThrottledError(said, wait) if throttled else TransientError(said)
    if status == 410:
        return GoneError(said)
    by_status = {401: meanings.unauthorised, 403: meanings.forbidden, 404: meanings.missing}
    meaning = by_status.get(status, meanings.refused)
    return meaning.error(f"{said}; {meaning.advice}" if meaning.advice else said)


def is_passing(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in PASSING or (status >= 500 and status not in PERMANENT)
