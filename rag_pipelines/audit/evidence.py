"""An evidence pack: what was done and proven in a span of time, as one signed file for whoever audits.

What belongs here: what a pack holds, writing one, checking one. What does not: the audit's chain (`chain`),
and signatures (`signing`).

A pack is a ZIP file: records as JSON, one page for people, `manifest.json` with the SHA-256 of each, the head
of the audit's chain and the state of it, and a signature of the manifest. It holds no text and no id of a
document, and no question. Names of people who acted, and their reasons, are what it is for.
"""

from __future__ import annotations

import base64
import hashlib
import html
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from rag_pipelines import __version__
from rag_pipelines.audit.chain import Chain, check_chain
from rag_pipelines.audit.signing import is_signed, same_key, sign
from rag_pipelines.errors import UsageError
from rag_pipelines.store.database import Database, Row, query
from rag_pipelines.store.lease import lease_owner

RECORDS: Mapping[str, str] = {
    "people": "Who did what",
    "actions": "Every action, by the audit",
    "versions": "Versions built, promoted and retired",
    "gates": "Gates, the access proof among them",
    "deletions": "Deletions above the guard, and who decided",
    "erasures": "Purged documents",
    "certificates": "Verifications",
    "holds": "Legal holds",
    "switches": "Emergency switches",
    "canaries": "Canaries",
}
"""What a pack holds, each with the heading that people read; the queries are called ``evidence_…``."""

MANIFEST, SIGNATURE, PAGE = "manifest.json", "signature.json", "summary.html"

LARGEST = 1_000_000_000
"""Bytes that a pack may take unpacked, all files together; a larger one is refused and not read."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack says of itself. `files` are SHA-256 by name; `audit` is the head of the chain."""

    made_by: str
    made_at: datetime
    since: datetime
    until: datetime
    release: str
    audit: str
    audit_rows: int
    audit_faults: list[str]
    counts: dict[str, int]
    files: dict[str, str]


class Signature(msgspec.Struct, frozen=True):
    """The signature of the manifest's bytes, in base64, with the public key as PEM."""

    algorithm: str
    signature: str
    public_key: str


class Checked(msgspec.Struct, frozen=True):
    """What a look at a pack found. `known_key`: whether it was signed with the key that was given; None where
    none was."""

    manifest: Manifest
    faults: list[str]
    known_key: bool | None


def write_pack(database: Database, since: datetime, file: Path, key: Path) -> Manifest:
    """Write what was done since a time into a new `file`, signed with the key in the file `key`.

    Raises:
        UsageError: the file is there already, `since` lies ahead, or there is no key to sign with.
    """
    if file.exists():
        raise UsageError(f"{file} is there already; name a new file")
    with database.snapshot() as connection:
        clock = query(connection, "clock").fetchone()
        assert clock is not None
        until = clock["now"]
        if since >= until:
            raise UsageError(f"--since {since.isoformat()} is not before now")
        span = {"since": since, "until": until}
        records = {name: query(connection, f"evidence_{name}", span).fetchall() for name in RECORDS}
        chain = check_chain(connection)
    contents = {f"{name}.json": _json(rows) for name, rows in records.items()}
    contents[PAGE] = _page(since, until, chain, records).encode()
    manifest = Manifest(
        made_by=lease_owner(),
        made_at=datetime.now(UTC),
        since=since,
        until=until,
        release=__version__,
        audit=str(chain.head),
        audit_rows=chain.rows,
        audit_faults=[fault.says for fault in chain.faults],
        counts={name: len(rows) for name, rows in records.items()},
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )
    signed = _json(manifest)
    signature, public = sign(signed, key)
    contents[MANIFEST] = signed
    contents[SIGNATURE] = _json(Signature("Ed25519", base64.b64encode(signature).decode(), public.decode()))
    with zipfile.ZipFile(file, "x", zipfile.ZIP_DEFLATED) as pack:
        for name, content in contents.items():
            pack.writestr(name, content)
    return manifest


def check_pack(file: Path, public: bytes | None = None) -> Checked:
    """Whether a pack is as it was signed.

    Args:
        public: the public key that it has to be signed with, as PEM. Without it anybody may have signed it.

    Raises:
        UsageError: the file is no evidence pack.
    """
    contents = _read(file)
    try:
        manifest = msgspec.json.decode(contents[MANIFEST], type=Manifest)
        signature = msgspec.json.decode(contents[SIGNATURE], type=Signature)
        signed = base64.b64decode(signature.signature, validate=True)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{file} is no evidence pack: {error}") from error
    own = signature.public_key.encode()
    faults = []
    if not is_signed(contents[MANIFEST], signed, own):
        faults.append(f"{MANIFEST} is not what was signed")
    known = None if public is None else same_key(public, own)
    if known is False:
        faults.append("it was signed with another key")
    kept = contents.keys() - {MANIFEST, SIGNATURE}
    faults += [f"{name} is missing" for name in sorted(manifest.files.keys() - kept)]
    faults += [f"{name} was put in" for name in sorted(kept - manifest.files.keys())]
    faults += [
        f"{name} was changed"
        for name in sorted(kept & manifest.files.keys())
        if hashlib.sha256(contents[name]).hexdigest() != manifest.files[name]
    ]
    return Checked(manifest, faults, known)


def _read(file: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as pack:
            names = pack.namelist()
            if len(names) != len(set(names)):
                raise UsageError(f"{file} holds a file twice")
            if sum(one.file_size for one in pack.infolist()) > LARGEST:
                raise UsageError(f"{file} holds more than {LARGEST:,} bytes")
            return {name: pack.read(name) for name in names}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{file} cannot be read as an evidence pack: {error}") from error


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _page(since: datetime, until: datetime, chain: Chain, records: Mapping[str, Sequence[Row]]) -> str:
    """The page for people: state of the audit, then every record."""
    state = [f"{chain.rows:,} rows, each as it was written"] if not chain.faults else []
    state += [f"FAULT: {fault.says}" for fault in chain.faults]
    state += [
        f"a purge took words out of row {one.position}; row {one.row} says so" for one in chain.redacted
    ]
    sections = "".join(_section(title, records[name]) for name, title in RECORDS.items())
    said = "".join(f"<li>{html.escape(one)}</li>" for one in (*state, f"head: {chain.head}"))
    title = f"Evidence from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} (UTC)"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{title}</title><style>body{{font:14px system-ui;margin:2em}}"
        "table{border-collapse:collapse}td,th{border:1px solid #ccc;"
        "padding:.2em .5em;text-align:left;vertical-align:top}</style>"
        f"<h1>{title}</h1><h2>The audit's chain</h2><ul>{said}</ul>{sections}</html>"
    )


def _section(title: str, rows: Sequence[Row]) -> str:
    if not rows:
        return f"<h2>{html.escape(title)}</h2><p>none</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(_cell(value))}</td>' for value in row.values())}</tr>"
        for row in rows
    )
    return f"<h2>{html.escape(title)} ({len(rows):,})</h2><table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
