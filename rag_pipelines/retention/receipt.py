"""The receipt of an erasure: what was removed, as digests, signed, to be checked in years.

What belongs here: the key, the form, signing, and checking a signature. What does not: what stands in a
receipt (`erasure`), and the search by its digests (`proof`).

One secret makes both keys: that of pseudonyms (HMAC-SHA-256), which nobody but its holder can look up, and
that of signatures (Ed25519), whose public half stands in each receipt.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.retention.proof import PurgeEvidence
from rag_pipelines.stored import Form

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE = "erasure.key"


class ErasedDocument(msgspec.Struct, frozen=True):
    """A document: its pseudonym, and the digests of what it held."""

    pseudonym: str
    evidence: PurgeEvidence = PurgeEvidence()


class Receipt(msgspec.Struct, frozen=True):
    """What an erasure did.

    `subjects` are pseudonyms of the identifiers. `stayed` are documents that name the person and stay, by
    pseudonym, and why; `left` what a search found in the end, by place; `human` what only a person could
    change; `waiting` says what goes by itself later. `signature` (Ed25519, hexadecimal) covers all else in
    canonical JSON: sorted keys, no spaces.
    """

    erasure_id: int
    made_at: datetime
    by: str
    subjects: list[str]
    documents: list[ErasedDocument]
    rows: dict[str, int]
    stayed: dict[str, str]
    left: dict[str, int]
    human: int
    waiting: list[str] = []
    public_key: str = ""
    signature: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the receipt with its signature, in hexadecimal."""
        return hashlib.sha256(_canonical(msgspec.to_builtins(self))).hexdigest()

    @property
    def evidence(self) -> PurgeEvidence:
        """The digests of all documents as those of one, for one search."""
        merged: dict[str, set[str]] = {}
        for one in self.documents:
            for name, digests in one.evidence.digests.items():
                merged.setdefault(name, set()).update(digests)
        return msgspec.convert({name: sorted(one) for name, one in merged.items()}, PurgeEvidence)


RECEIPT = Form("erasure receipt", Receipt)


class Keys:
    """The two keys. The secret is `erasure.key` of the configuration, else a file of `data_dir` that is made
    when it is first needed, readable by its owner alone.

    Raises `UsageError` where the library that signs is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        given = settings.erasure.key
        secret = given.get_secret_value().encode() if given else _kept(settings.data_dir / KEY_FILE)
        self.pseudonyms = hmac.digest(secret, b"rag-pipelines pseudonyms", "sha256")
        self._private = _private_key(hmac.digest(secret, b"rag-pipelines receipts", "sha256"))

    @property
    def public(self) -> str:
        """The public key of signatures, 32 bytes in hexadecimal."""
        return self._private.public_key().public_bytes_raw().hex()

    def sign(self, receipt: Receipt) -> Receipt:
        """The receipt with its signature."""
        bare = msgspec.structs.replace(receipt, public_key=self.public, signature="")
        signature = self._private.sign(_canonical(msgspec.to_builtins(bare)))
        return msgspec.structs.replace(bare, signature=signature.hex())

    def check(self, receipt: Receipt) -> str | None:
        """Why a receipt is not one of ours as it was made; None if it is."""
        from cryptography.exceptions import InvalidSignature

        if receipt.public_key != self.public:
            return f"it is signed with another key ({receipt.public_key[:16]}…, ours is {self.public[:16]}…)"
        bare = msgspec.structs.replace(receipt, signature="")
        try:
            signature = bytes.fromhex(receipt.signature)
            self._private.public_key().verify(signature, _canonical(msgspec.to_builtins(bare)))
        except (InvalidSignature, ValueError):
            return "its signature does not fit: it was changed after it was made"
        return None


def _private_key(seed: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise UsageError(
            "receipts are signed with the library cryptography, which is not installed: "
            "pip install 'rag-pipelines[evidence]'"
        ) from error
    return Ed25519PrivateKey.from_private_bytes(seed)


def write_receipt(receipt: Receipt, path: Path) -> None:
    """Write a receipt as JSON."""
    text = json.dumps(RECEIPT.encode(receipt), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_receipt(path: Path) -> Receipt:
    """What `write_receipt` wrote. Raises `UsageError` for anything else."""
    try:
        return RECEIPT.decode(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(f"--receipt received {str(path)!r}, which holds no receipt: {error}") from error


def _kept(path: Path) -> bytes:
    """The secret in a file; made if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return path.read_bytes().strip()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
