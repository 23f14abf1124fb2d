"""Writes `sql/schema.sql`: the schema that all migrations and objects make of an empty database.

    python -m tools.dump_schema            write the file
    python -m tools.dump_schema --check    fail when the file is not what would be written

Runs on a throw-away server of the embedded wheel, whose pg_dump prints it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer, server_programs
from rag_pipelines.store.sql import sql_folder

HEADER = """\
-- The whole schema: what sql/migrations and sql/objects make, as pg_dump of Postgres {major} prints it.
-- Written by `make schema`; to be read, not run.
"""

_NOISE = re.compile(
    r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(?:un)?restrict .*"
    r"|ALTER TABLE ONLY .* SET \(pg_attver=\d+\);)$\n?",
    re.MULTILINE,
)
"""`pg_attver` is what Postgres 15.20 puts on columns, another in each database."""


def dump_schema(url: str) -> str:
    """The schemas of a database as statements, without owners, grants and what differs by run."""
    made = subprocess.run(
        [
            server_programs() / "pg_dump",
            "--schema-only",
            "--schema=rag",
            "--schema=rag_facts",
            "--no-owner",
            "--no-privileges",
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"\n{3,}", "\n\n", _NOISE.sub("", made.stdout)).strip() + "\n"


def schema_file() -> Path:
    """Where the committed dump is."""
    return sql_folder() / "schema.sql"


def render(url: str) -> str:
    """What `schema_file` holds for the database at `url`."""
    with Database(url).connect() as connection:
        major = connection.info.server_version // 10_000
    return HEADER.format(major=major) + "\n" + dump_schema(url)


def main(arguments: list[str]) -> int:
    """Write or check the file; the exit status."""
    with tempfile.TemporaryDirectory(prefix="rag-schema-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedServer(Path(folder) / "server")
        url = server.start()
        try:
            Database(url).migrate()
            text = render(url)
        finally:
            server.stop()
    path = schema_file()
    if "--check" not in arguments:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        print(f"{path} is current")
        return 0
    print(f"{path} is not what the migrations and objects make; run: make schema", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
