"""Histories of runs, builds, collections and purges that go on at once, and what must hold after each.

What belongs here: the world that a history begins with, what is drawn for it, and the invariants. What does
not: the order of single steps (`interleaved`).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial

import pytest

from rag_pipelines.errors import UsageError
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import collect_versions
from rag_pipelines.retention.abandoned import mark_abandoned
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import Purged, purge_document
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.scope import Scope
from rag_pipelines_tests.integration.interleaved import Stage
from rag_pipelines_tests.integration.workspace import Workspace

SECRET = "people/dismissal-of-jane-roe.md"
WORDS = ("quetzalcoatlus", "invoiceless", "dismissal-of-jane")
"""What only the secret document says or is called."""

BOILERPLATE = "This page belongs to the staff handbook and is reviewed twice a year by the people team."
SHARED = "# Shared\n\nWhat both of them say."
OLD = f"# Dismissal\n\nJane Roe was warned, being invoiceless.\n\n{BOILERPLATE}"
NEW = f"# Dismissal\n\nJane Roe leaves at the end of quetzalcoatlus month.\n\n{BOILERPLATE}"


def fill_world(workspace: Workspace) -> None:
    """Two sources that share text, a retired and a live version, and a document deleted at its source."""
    notes = workspace.folder / "notes"
    notes.mkdir()
    workspace.document["sources"]["notes"] = {
        **workspace.document["sources"]["docs"],
        "options": {"root": str(notes)},
    }
    workspace.document["indexes"]["main"]["sources"] = ["docs", "notes"]
    workspace.document["indexes"]["main"]["full_build_share"] = 1.0
    workspace.write("a.md", f"# A\n\nAlpha of the first kind.\n\n{BOILERPLATE}")
    workspace.write("shared.md", SHARED)
    workspace.write(SECRET, OLD)
    (notes / "n.md").write_text(f"# N\n\nNu of the first kind.\n\n{BOILERPLATE}")
    (notes / "shared.md").write_text(SHARED)
    _refresh(workspace)
    workspace.write(SECRET, NEW)
    _refresh(workspace)
    (workspace.docs / SECRET).unlink()
    workspace.ingest("docs")


def play(workspace: Workspace, seed: int, rounds: int = 1) -> None:
    """So many histories, each in the world that the last one left; then what follows, in peace.

    Raises `AssertionError` where something does not hold.
    """
    for number in range(rounds):
        _play_one(workspace, seed * 1_000 + number)
    _go_on(workspace, seed)


def _play_one(workspace: Workspace, seed: int) -> None:
    luck = random.Random(seed)
    _change_world(workspace, luck)
    acts = _draw_acts(workspace, luck)
    deaths = {name: luck.randrange(1, 90) for name in acts if luck.random() < 0.12}
    with pytest.MonkeyPatch.context() as monkeypatch:
        stage = Stage(workspace.url, monkeypatch)
        try:
            ended = stage.play(seed, acts, deaths)
        finally:
            stage.close()
    for name, error in ended.items():
        assert error is None or name in deaths or _may_be_refused(name, error), (seed, name, error)
    check_whole(workspace, seed)
    if "purge" in acts and ended["purge"] is None and not deaths:
        _check_gone(workspace, seed)


def _change_world(workspace: Workspace, luck: random.Random) -> None:
    """What people did at the sources since, and how the pipeline is configured."""
    docs, notes = workspace.docs, workspace.folder / "notes"
    kinds = ("first", "second", "third")
    texts = {
        docs / "a.md": f"# A\n\nAlpha of the {luck.choice(kinds)} kind.\n\n{BOILERPLATE}",
        docs / "shared.md": SHARED,
        docs / SECRET: luck.choice((OLD, NEW)),
        notes / "copy.md": f"# A\n\nAlpha of the {luck.choice(kinds)} kind.\n\n{BOILERPLATE}",
        notes / "n.md": f"# N\n\nNu of the {luck.choice(kinds)} kind.",
        notes / "shared.md": SHARED,
    }
    for path, text in texts.items():
        fate = luck.random()
        if fate < 0.35:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        elif fate < 0.5 and path.name not in ("a.md", "n.md"):
            path.unlink(missing_ok=True)
    workspace.document["sources"]["docs"]["grace"] = "0s" if luck.random() < 0.3 else "7d"
    keep = {"versions": 0, "age": "0s"} if luck.random() < 0.5 else {"versions": 2, "age": "1d"}
    workspace.document["indexes"]["main"]["keep"] = keep


def _draw_acts(workspace: Workspace, luck: random.Random) -> dict[str, Callable[[], object]]:
    runtime = workspace.runtime
    full = luck.random() < 0.3
    acts: dict[str, Callable[[], object]] = {
        "docs": partial(ingest, runtime, "docs", Scope(full=luck.random() < 0.3)),
        "notes": partial(ingest, runtime, "notes"),
        "build": partial(build_index, runtime, "main", full=full),
        "collect": partial(_collect, runtime),
        "purge": partial(_purge, runtime),
    }
    chosen = luck.sample(sorted(acts), luck.randrange(2, 6))
    return {name: acts[name] for name in chosen}


def _collect(runtime: Runtime) -> None:
    collect_versions(runtime.database, "main", runtime.settings.index("main"))
    collect_garbage(runtime.database, runtime.settings)


def _purge(runtime: Runtime) -> Purged:
    return purge_document(
        runtime.database, runtime.settings, "docs", SECRET, even_if_present=True, verify=True
    )


def _may_be_refused(name: str, error: BaseException) -> bool:
    """A collection and a build of one index exclude each other, and the purge comes after the collection."""
    return isinstance(error, UsageError) and name in ("build", "collect", "purge")


def check_whole(workspace: Workspace, seed: int = 0) -> None:
    """Whatever a document or a version refers to is there."""
    dangling = {
        "chunk sets of documents": "SELECT FROM rag.document_chunks dc LEFT JOIN rag.chunk_set s USING "
        "(chunk_set_id) WHERE s.chunk_set_id IS NULL",
        "chunks of chunk sets": "SELECT FROM rag.chunk_set s WHERE s.chunks <> "
        "(SELECT count(*) FROM rag.chunk c WHERE c.chunk_set_id = s.chunk_set_id)",
        "vectors of chunk sets": "SELECT FROM rag.chunk_set_embedded e JOIN rag.chunk c USING (chunk_set_id) "
        "WHERE NOT EXISTS (SELECT FROM rag.embedding v WHERE v.model_id = e.model_id "
        "AND v.input_key = c.input_key)",
        "parses of documents": "SELECT FROM rag.document d LEFT JOIN rag.parse p USING (parse_id) "
        "WHERE d.status = 'ok' AND d.state <> 'tombstoned' AND p.parse_id IS NULL",
    }
    for what, statement in dangling.items():
        assert workspace.rows(statement) == [], (seed, what)
    store = BlobStore(workspace.settings.blobs_url)
    raw, blocks = set(store.digests("raw")), set(store.digests("blocks"))
    for row in workspace.rows(
        "SELECT d.external_id, d.raw_sha256, p.blocks_sha256 FROM rag.document d "
        "LEFT JOIN rag.parse p USING (parse_id) WHERE d.state <> 'tombstoned'"
    ):
        assert row["raw_sha256"] in raw, (seed, "raw bytes of", row["external_id"])
        assert row["blocks_sha256"] is None or row["blocks_sha256"] in blocks, (
            seed,
            "blocks of",
            row["external_id"],
        )
    for row in workspace.rows(
        "SELECT storage FROM rag.index_version WHERE state IN ('built', 'validated', 'live', 'retired')"
    ):
        vectors = f"rag.vectors_{row['storage']}"
        lost = (
            f"SELECT FROM {vectors} LEFT JOIN rag.chunk c USING (chunk_set_id, ordinal) WHERE c.text IS NULL"
        )
        assert workspace.rows(lost) == [], (seed, "text of", vectors)


def _check_gone(workspace: Workspace, seed: int) -> None:
    """Nothing of the secret document is anywhere, but where a listing after the purge found it again."""
    if SECRET in workspace.stored():
        return
    tables = workspace.rows("SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'rag'")
    for table in tables:
        for row in workspace.rows(f"SELECT t::text AS line FROM rag.{table['name']} t"):
            line = json.dumps(row["line"], ensure_ascii=False)
            assert not [word for word in WORDS if word in line], (seed, table["name"], line)
    store = BlobStore(workspace.settings.blobs_url)
    for kind in ("raw", "blocks"):
        for digest in store.digests(kind):
            content = store.get(kind, digest)
            assert not [word for word in WORDS if word.encode() in content], (seed, kind, content)


def _go_on(workspace: Workspace, seed: int) -> None:
    """What follows finds nothing amiss: everything at the source is found, and the purged document is not."""
    mark_abandoned(workspace.database)
    (workspace.docs / SECRET).unlink(missing_ok=True)
    workspace.document["sources"]["docs"]["grace"] = "7d"
    _refresh(workspace)
    files = {path.name for place in ("docs", "notes") for path in (workspace.folder / place).rglob("*.md")}
    found = workspace.paths("alpha nu shared what kind of", k=50)
    assert found == files, (seed, found, files)
    with_proof = _purge_rest(workspace)
    if with_proof is not None:
        assert with_proof.proof is not None
        assert with_proof.proof.left == [], (seed, with_proof.proof.left)
        assert with_proof.proof.waiting == (), (seed, with_proof.proof.waiting)
        _check_gone(workspace, seed)
    check_whole(workspace, seed)


def _purge_rest(workspace: Workspace) -> Purged | None:
    try:
        return _purge(workspace.runtime)
    except UsageError:
        return None


def _refresh(workspace: Workspace) -> None:
    """Both sources, then the index."""
    for source in ("docs", "notes"):
        workspace.ingest(source)
    workspace.publish()
