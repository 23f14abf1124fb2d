"""Signatures of what is handed out: made with a key of this installation, checked with its public half.

What belongs here: the key's file, signing, checking. What does not: what is signed (`evidence`).

Ed25519 (RFC 8032), by `cryptography`. The private key is a PEM file that only its owner may read; its public
half lies beside it, to be given to whoever checks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def key_file(data_dir: Path) -> Path:
    """Where the installation's key is, unless another is named."""
    return data_dir / "keys" / "evidence.pem"


def public_file(key: Path) -> Path:
    """Where the public half of a key is."""
    return key.with_suffix(".pub.pem")


def sign(data: bytes, key: Path) -> tuple[bytes, bytes]:
    """The signature of `data` and the public key as PEM; the key is made where there is none.

    Raises:
        UsageError: the extra is not installed, or the file holds no such key.
    """
    private = _private(key)
    return private.sign(data), _pem(private.public_key())


def is_signed(data: bytes, signature: bytes, public: bytes) -> bool:
    """Whether the key whose public half is the PEM `public` signed `data`. Raises `UsageError`."""
    key = _public(public)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def same_key(one: bytes, other: bytes) -> bool:
    """Whether two PEM texts are the same public key. Raises `UsageError`."""
    return _pem(_public(one)) == _pem(_public(other))


def _private(file: Path) -> Ed25519PrivateKey:
    _require()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not file.exists():
        _make(file)
    try:
        found = serialization.load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{file} holds no private key that can be read: {error}") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(f"{file} holds another kind of key; valid: Ed25519, as `openssl genpkey` makes it")
    return found


def _make(file: Path) -> None:
    """Make a key; of two that make it at once one does."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    made = Ed25519PrivateKey.generate()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    mine = file.with_name(f"{file.name}.{os.getpid()}")
    with open(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(text)
    try:
        os.link(mine, file)
        public_file(file).write_bytes(_pem(made.public_key()))
    except FileExistsError:
        pass
    finally:
        mine.unlink()


def _public(pem: bytes) -> Ed25519PublicKey:
    _require()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        found = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise UsageError(f"the public key cannot be read: {error}") from error
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError("the public key is of another kind; valid: Ed25519")
    return found


def _pem(public: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _require() -> None:
    try:
        import cryptography  # noqa: F401 (whether it is there)
    except ImportError as error:
        raise UsageError(f"{error}; install it with: pip install 'rag-pipelines[evidence]'") from error
