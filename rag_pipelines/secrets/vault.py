"""Secrets in HashiCorp Vault or OpenBao: ``${vault:secret/data/rag#url}``.

The place is the path of the API, so that any engine can be read: ``MOUNT/data/NAME`` of a key-value store of
version 2, ``database/creds/ROLE`` of one that makes logins. The login is a token (VAULT_TOKEN), an AppRole
(VAULT_ROLE_ID, VAULT_SECRET_ID) or the account of a pod (VAULT_KUBERNETES_ROLE); VAULT_ADDR, VAULT_NAMESPACE
and VAULT_CACERT are as for Vault's own program.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hvac
import requests
from hvac import exceptions

from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.secrets.references import MissingSecretError

POD_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
TIMEOUT = 10
"""Seconds for one request."""


def read(place: str) -> Mapping[str, object]:
    """What lies at a path. Raises as `references.read` says."""
    where = os.environ.get("VAULT_ADDR")
    if not where:
        raise ConfigError(f"received vault:{place}, but VAULT_ADDR does not say where Vault is")
    try:
        client = hvac.Client(url=where, namespace=os.environ.get("VAULT_NAMESPACE"), timeout=TIMEOUT)
        _log_in(client)
        answer = client.read(place)
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise CredentialError(
            f"Vault at {where} refuses to read {place}; check the login and its policy"
        ) from error
    except exceptions.InvalidPath:
        answer = None
    except (exceptions.VaultDown, exceptions.InternalServerError, exceptions.RateLimitExceeded) as error:
        raise TransientError(f"Vault at {where} does not answer: {type(error).__name__}") from error
    except exceptions.VaultError as error:
        raise ConfigError(f"Vault at {where} cannot read {place}: {type(error).__name__}") from error
    except requests.RequestException as error:
        raise TransientError(f"Vault at {where} cannot be reached: {type(error).__name__}") from error
    found: Any = (answer or {}).get("data")
    if isinstance(found, dict) and isinstance(found.get("metadata"), dict) and "data" in found:
        found = found["data"]
    if not found:
        raise MissingSecretError(
            f"Vault has nothing at {place}; a key-value store of version 2 is read at MOUNT/data/NAME"
        )
    return found


def _log_in(client: hvac.Client) -> None:
    role, pod_role = os.environ.get("VAULT_ROLE_ID"), os.environ.get("VAULT_KUBERNETES_ROLE")
    if role:
        client.auth.approle.login(role, os.environ.get("VAULT_SECRET_ID"))
    elif pod_role:
        try:
            token = POD_TOKEN.read_text()
        except OSError as error:
            raise ConfigError(f"VAULT_KUBERNETES_ROLE is set, but {POD_TOKEN} cannot be read") from error
        mount = os.environ.get("VAULT_KUBERNETES_MOUNT", "kubernetes")
        client.auth.kubernetes.login(pod_role, token, mount_point=mount)
    elif not client.token:
        raise ConfigError(
            "there is no login for Vault; set VAULT_TOKEN, VAULT_ROLE_ID with VAULT_SECRET_ID, or "
            "VAULT_KUBERNETES_ROLE"
        )
