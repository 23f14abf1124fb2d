"""The one error tree of the project. Every error that leaves a public function is one of these.

What belongs here: classes only. What does not: handling, logging, mapping of foreign errors
(each boundary maps its own library's errors, next to the call).

    RagError
    ├── ConfigError                 the configuration file is wrong; carries every problem found
    ├── UsageError                  the caller asked for something that is not there or not allowed
    │   ├── SwitchedOffError        ... just now, because an operator switched it off
    │   └── ConflictError           ... because something else was said before by the same key
    ├── CredentialError             a source or endpoint rejected our credentials; stops the source
    ├── TransientError              worth another try later
    │   └── ThrottledError          ... after `retry_after` seconds
    ├── ForbiddenEntityError        the credential is fine, this one entity is closed to it
    ├── MissingEntityError          this one entity is not there (any more)
    ├── GoneError                   the other side has given up this cursor or endpoint; begin anew
    ├── UnlistableError             a source that is not where the configuration says, or closed to us
    ├── EmptyListingError           an empty listing of a source that holds documents
    ├── BudgetError                 a plan is above its source's budget; it waits for a person
    ├── DriftError                  the source is not any more what a plan was made for
    ├── LeaseLostError              another run took the lease; this one must stop writing
    ├── GateError                   promotion refused; carries the missing and failed gates
    ├── DatabaseError               Postgres refused; the driver's error is in __cause__
    ├── StoredFormError             what is stored is of a form that this release does not read
    └── DocumentError               this one document cannot be processed; the run goes on
        ├── EmptyDocumentError          opens, holds no text (a scan, an empty page)
        ├── EncryptedDocumentError      needs a password we do not have
        ├── CorruptDocumentError        cannot be opened or decoded
        ├── UnsupportedDocumentError    no parser for this type
        ├── TooLargeDocumentError       above a configured limit (bytes, pages, characters, expansion)
        ├── PoisonDocumentError         killed its worker
        │   ├── ParseTimeoutError
        │   ├── ParseMemoryError
        │   └── ParseCrashError
        ├── SensitiveDocumentError      holds what its source's privacy profile blocks
        ├── ChunkingError               the chunker refused it
        ├── EmbeddingError              the model or endpoint refused this one input
        ├── FetchError                  listed but could not be read
        └── MissingContentError         its stored content is gone or damaged; the next run loads it again

Errors are pickled between processes and stored in quarantine, so each carries plain values only.
`status` on a DocumentError is the word stored for the document and shown to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class RagError(Exception):
    """Something went wrong in rag_pipelines."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class ConfigError(RagError):
    """The configuration is not valid."""

    def __init__(self, message: str | None = None, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message or "\n".join(self.problems) or None)

    def __reduce__(self):
        return (type(self), (str(self), self.problems))


class UsageError(RagError):
    """The request names something that does not exist or is not allowed."""


class SwitchedOffError(UsageError):
    """An operator has switched this off for now."""


class ConflictError(UsageError):
    """Something else was said before by the same key."""


class CredentialError(RagError):
    """The credentials were rejected."""


class TransientError(RagError):
    """A transient failure; try again later."""


class ThrottledError(TransientError):
    """The other side asked us to slow down."""

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)

    def __reduce__(self):
        return (type(self), (str(self), self.retry_after))


class ForbiddenEntityError(RagError):
    """The credentials are valid but may not read this entity."""


class MissingEntityError(RagError):
    """The entity is not there, or not for these credentials to know of."""


class GoneError(RagError):
    """The cursor has expired, or the endpoint was removed."""


class UnlistableError(RagError):
    """The source cannot be listed at all: it is not where the configuration says, or may not be read."""


class EmptyListingError(RagError):
    """The listing is empty although the source held documents before."""


class BudgetError(RagError):
    """The plan is above the budget of its source."""


class DriftError(RagError):
    """The source or the configuration changed since the plan was made."""


class LeaseLostError(RagError):
    """Another run holds the lease now."""


class GateError(RagError):
    """The version may not be promoted."""

    def __init__(self, message: str | None = None, reasons: Sequence[str] = ()) -> None:
        self.reasons = tuple(reasons)
        super().__init__(message or "; ".join(self.reasons) or None)

    def __reduce__(self):
        return (type(self), (str(self), self.reasons))


class DatabaseError(RagError):
    """Postgres refused the operation."""


class StoredFormError(RagError):
    """A stored value is of a form that this release does not read."""


class DocumentError(RagError):
    """The document cannot be processed."""

    status: ClassVar[str] = "failed"


class EmptyDocumentError(DocumentError):
    """The document opens but holds no text."""

    status = "empty"


class EncryptedDocumentError(DocumentError):
    """The document is encrypted and needs a password."""

    status = "encrypted"


class CorruptDocumentError(DocumentError):
    """The document cannot be opened or decoded."""

    status = "corrupt"


class UnsupportedDocumentError(DocumentError):
    """There is no parser for this type of document."""

    status = "unsupported"


class TooLargeDocumentError(DocumentError):
    """The document is above a configured limit."""

    status = "too_large"


class PoisonDocumentError(DocumentError):
    """The document killed the worker that read it."""

    status = "poison"


class ParseTimeoutError(PoisonDocumentError):
    """Reading the document took longer than the limit."""

    status = "timeout"


class ParseMemoryError(PoisonDocumentError):
    """Reading the document took more memory than the limit."""

    status = "out_of_memory"


class ParseCrashError(PoisonDocumentError):
    """The worker process died while reading the document."""

    status = "crashed"


class SensitiveDocumentError(DocumentError):
    """The document holds personal data or secrets that are blocked."""

    status = "sensitive"


class ChunkingError(DocumentError):
    """The document could not be cut into chunks."""


class EmbeddingError(DocumentError):
    """The text could not be embedded."""


class FetchError(DocumentError):
    """The document was listed but its content could not be read."""

    status = "unreadable"


class MissingContentError(DocumentError):
    """The stored content of the document is gone or damaged."""

    status = "unreadable"
