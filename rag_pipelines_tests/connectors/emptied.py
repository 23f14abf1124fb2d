"""A database that many tests use one after the other, each finding it as a new one.

What belongs here: emptying it. What does not: databases of a test's own (`databases`).
"""

from __future__ import annotations

from rag_pipelines_tests.integration.workspace import KeptSessions

_TABLES = "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'rag'"


class EmptiedDatabase:
    """A migrated, empty database at `url`.

    Its `sessions` stay open, because a new one reads the server's catalogue anew.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.sessions = KeptSessions(url)
        with self.sessions.connection() as connection:
            self._tables = [row["name"] for row in connection.execute(_TABLES)]
            filled = {
                table
                for table in self._tables
                if connection.execute(f"SELECT FROM {table} LIMIT 1").fetchone() is not None
            }
        kept = {*filled, "rag.profile"}  # profiles are known by what they are
        self._to_empty = [table for table in self._tables if table not in kept]

    def empty(self) -> None:
        """Take out what tests put in: rows, and the tables of versions.

        Rows are deleted: after a truncation every session would read the catalogue anew.
        """
        with self.sessions.connection() as connection:
            known = {row["name"] for row in connection.execute(_TABLES)}
            of_versions = known.difference(self._tables)
            statements = [f"DELETE FROM {table}" for table in self._to_empty]
            if of_versions:
                statements.insert(0, f"DROP TABLE {', '.join(sorted(of_versions))} CASCADE")
            connection.execute(
                "; ".join(
                    ["SET session_replication_role = replica", *statements, "RESET session_replication_role"]
                )
            )

    def close(self) -> None:
        """Give the sessions back."""
        self.sessions.close()
