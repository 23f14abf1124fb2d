"""What the drivers of object stores raise (s3fs, gcsfs, adlfs), told apart.

What belongs here: the meaning of their errors, and settings under which they tell it. What does not:
listing, reading, writing (`connectors.file_trees`, `store.blobs`). Drivers may not be installed, so
their errors are known by name, and by the code that the store gave:

- S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
- Google: https://cloud.google.com/storage/docs/json_api/v1/status-codes
- Azure: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    RagError,
    ThrottledError,
    TransientError,
)

DRIVER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    scheme: {"max_concurrency": 1} for scheme in ("s3", "s3a", "abfs", "abfss", "az")
}
"""URL scheme to what its driver is told unless the configuration says otherwise.

One request reads one object whole. With more, s3fs asks for the size first, which doubles the requests,
hides the code of a refusal (the answer to HEAD has no body), and reads an object that is replaced
meanwhile in pieces of both.
"""

_CREDENTIAL_ERRORS = frozenset(
    {
        "AuthenticationException",
        "ClientAuthenticationError",
        "CredentialUnavailableError",
        "DefaultCredentialsError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "RefreshError",
        "TokenRetrievalError",
    }
)
_CREDENTIAL_CODES = frozenset(
    {
        "AuthenticationFailed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidAuthenticationInfo",
        "InvalidSecurity",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "401",
    }
)
_THROTTLED_CODES = frozenset(
    {"ServerBusy", "ServiceUnavailable", "SlowDown", "TooManyRequests", "429", "503"}
)


def store_error(error: Exception, where: str) -> RagError:
    """What a driver's `error` about the object or folder `where` means.

    `CredentialError`: nobody with this credential gets in, or there is none. `ForbiddenEntityError`:
    this one thing is closed. `FetchError`: it is not there. `ThrottledError`, and for all else
    `TransientError`: worth another try.
    """
    codes = set(_codes(error))
    said = str(error) or type(error).__name__
    if type(error).__name__ in _CREDENTIAL_ERRORS or codes & _CREDENTIAL_CODES:
        return CredentialError(f"the credentials for {where!r} were rejected: {said}")
    if codes & _THROTTLED_CODES:
        return ThrottledError(f"the store asks to slow down at {where!r}: {said}")
    if isinstance(error, PermissionError) or "403" in codes:
        return ForbiddenEntityError(f"no permission at {where!r}: {said}")
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return FetchError(f"{where!r} is gone or of another kind")
    return TransientError(f"{where!r} cannot be used: {type(error).__name__}: {error}")


def _codes(error: BaseException) -> Iterator[str]:
    """The code and the HTTP status that the store gave, from the driver's error and its causes."""
    if isinstance(error, OSError) and str(error).startswith("Forbidden:"):
        # gcsfs keeps nothing else of a status 403.
        yield "403"
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, Mapping):
            code = str(response.get("Error", {}).get("Code"))
            # An answer to HEAD has no body and so no code; a token that has expired is S3's reason for 400.
            yield "ExpiredToken" if code == "400" else code
        for name in ("code", "error_code", "status_code"):
            if (given := getattr(cause, name, None)) is not None:
                yield str(getattr(given, "value", given))
        cause = cause.__cause__
