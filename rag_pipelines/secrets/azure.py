"""Secrets in Azure Key Vault: ``${azure-kv:acme-vault/database-url}``.

The place is the name of the vault, or its host for other clouds, and the name of the secret. The login is
what `DefaultAzureCredential` finds: environment, workload or managed identity, the Azure CLI.
"""

from __future__ import annotations

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.secrets.references import MissingSecretError


def read(place: str) -> str:
    """The text of a secret in its current version. Raises as `references.read` says."""
    vault, slash, name = place.partition("/")
    if not (vault and slash and name) or "/" in name:
        raise ConfigError(f"received azure-kv:{place}; valid: azure-kv:VAULT/SECRET")
    host = vault if "." in vault else f"{vault}.vault.azure.net"
    try:
        found = client(f"https://{host}").get_secret(name).value
    except ResourceNotFoundError:
        raise MissingSecretError(f"the vault {host} has no secret {name!r}") from None
    except ClientAuthenticationError as error:
        raise CredentialError(f"Azure has no login for the vault {host}") from error
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise CredentialError(
                f"the vault {host} refuses to read {name!r}: {error.status_code}"
            ) from error
        raise TransientError(f"the vault {host} does not answer: {error.status_code}") from error
    except AzureError as error:
        raise TransientError(f"the vault {host} cannot be reached: {type(error).__name__}") from error
    if not found:
        raise MissingSecretError(f"the secret {name!r} of the vault {host} is empty")
    return found


def client(url: str) -> SecretClient:
    """A client of one vault."""
    return SecretClient(url, DefaultAzureCredential(), connection_timeout=5, read_timeout=10)
