"""What every queue can do, whoever keeps it.

What belongs here: the protocol. What does not: a vendor's requests (`sqs`, `azure_queue`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One message: its text, and what is shown to delete it."""

    body: str
    receipt: tuple[str, ...]


class Queue(Protocol):
    """A queue that hides a message while it is worked on, and shows it again unless it is deleted.

    Everything raises errors of the project's tree only.
    """

    def receive(self) -> Sequence[Message]:
        """Some messages; none when there seem to be none."""

    def delete(self, messages: Sequence[Message]) -> None:
        """Take them away for good; what has become visible again meanwhile is left."""

    def close(self) -> None:
        """Close its connections."""
