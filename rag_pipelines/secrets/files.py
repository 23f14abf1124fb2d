"""Secrets in files, as Docker, Kubernetes and systemd mount them: ``${file:/run/secrets/url}``."""

from __future__ import annotations

from pathlib import Path

from rag_pipelines.errors import ConfigError
from rag_pipelines.secrets.references import MissingSecretError

MAX_BYTES = 65_536


def read(place: str) -> str:
    """The text of a file, without the line ends at its end."""
    path = Path(place)
    if not path.is_absolute():
        raise ConfigError(f"received file:{place}; valid: an absolute path, such as file:/run/secrets/url")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode().rstrip("\r\n")
    except FileNotFoundError:
        raise MissingSecretError(f"there is no file {place}") from None
    except OSError as error:
        raise ConfigError(f"the file {place} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the file {place} is not UTF-8 text") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"the file {place} has more than {MAX_BYTES:,} bytes; a secret has less")
    if not text:
        raise MissingSecretError(f"the file {place} is empty")
    return text
