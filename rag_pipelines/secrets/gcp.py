"""Secrets in Google Secret Manager: ``${gcp-sm:acme-project/database-url}``.

The place is PROJECT/SECRET, with /VERSION where it is not the latest. The login is what any program of Google
finds (Application Default Credentials).
"""

from __future__ import annotations

from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthenticated
from google.auth.exceptions import GoogleAuthError
from google.cloud.secretmanager import SecretManagerServiceClient

from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.secrets.references import MissingSecretError

TIMEOUT = 10.0
"""Seconds for one request."""


def read(place: str) -> str:
    """The text of a secret. Raises as `references.read` says."""
    project, _, rest = place.partition("/")
    secret, _, version = rest.partition("/")
    if not (project and secret) or "/" in version:
        raise ConfigError(f"received gcp-sm:{place}; valid: gcp-sm:PROJECT/SECRET[/VERSION]")
    name = f"projects/{project}/secrets/{secret}/versions/{version or 'latest'}"
    try:
        answer = client().access_secret_version(name=name, timeout=TIMEOUT)
    except NotFound:
        raise MissingSecretError(f"Google Secret Manager has no {name}") from None
    except (Forbidden, Unauthenticated, GoogleAuthError) as error:
        raise CredentialError(
            f"Google Secret Manager refuses to read {name}: {type(error).__name__}"
        ) from error
    except GoogleAPIError as error:
        raise TransientError(f"Google Secret Manager does not answer: {type(error).__name__}") from error
    try:
        return answer.payload.data.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is not UTF-8 text") from None


def client() -> SecretManagerServiceClient:
    """A client; over HTTP, which proxies let through."""
    return SecretManagerServiceClient(transport="rest")
