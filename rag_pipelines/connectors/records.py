"""Rows as documents: JSON Lines, CSV, Parquet, or a SQL query on Postgres.

What belongs here: the options, turning a row into an item, the cursor. What does not: opening files
and databases (`row_readers`).

The external id is the id column; the token is a hash of title and text, so a change of another
column alone changes metadata and embeds nothing. A row that cannot be used is a failure with its
line and does not stop the listing:

- its id is readable: a failed document;
- its id is not readable: a failed entity, and the listing does not count as complete, because the
  row may be any document that we know;
- its id came before: a failed entity that hides nothing; the first row counts.

With a time column the source can be asked for changes: rows at or after the newest time seen, less
`overlap`, because rows of one moment may become visible one after the other. Deleted rows show in a
full listing only. One row is in memory at a time, and up to 200 bytes for each id seen.

A corpus in BEIR form: ``id: _id``, ``title: title``, ``text: text``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Literal

import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Finding,
    Item,
    Options,
    PathOrUrl,
    Window,
    read_cursor,
)
from rag_pipelines.connectors.row_readers import (
    FileRows,
    Format,
    QueryRows,
    Row,
    RowSource,
    missing_columns,
)
from rag_pipelines.connectors.row_values import json_value, moment_of, text_of
from rag_pipelines.errors import (
    CorruptDocumentError,
    CredentialError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.fingerprint import fingerprint, text_key
from rag_pipelines.model import CLOSED, AccessRule
from rag_pipelines.stored import Form


class RecordsOptions(Options):
    """Settings of a records source: where the rows are, and which column is what."""

    must_exist: ClassVar[tuple[str, ...]] = ("path",)

    path: PathOrUrl | None = Field(None, description="file or fsspec URL; .gz is unpacked")
    format: Format | None = Field(None, description="of the file, where its name does not tell")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="of CSV")
    dsn: SecretStr | None = Field(None, description="Postgres connection string")
    query: str | None = Field(None, description="a SELECT, run read-only")
    id: str = Field("id", description="column that identifies the row")
    text: tuple[str, ...] = Field(("text",), min_length=1, description="columns joined by blank lines")
    labels: bool = Field(False, description="put 'column: ' in front of each text")
    title: str | None = Field(None, description="column of the title")
    url: str | None = Field(None, description="column of the URL")
    tenant: str | None = Field(None, description="column of the tenant; a row without one fails")
    access: str | None = Field(None, description="column of principals, any of which may see the row")
    access_delimiter: str = Field(",", min_length=1, description="between principals in one string")
    metadata: tuple[str, ...] | Literal["*"] = Field((), description="columns to keep; '*' is all others")
    modified_at: str | None = Field(None, description="column of the last change; makes changes possible")
    overlap: timedelta = Field(
        timedelta(minutes=1), ge=timedelta(0), description="changes look back this far"
    )
    content_type: Literal["text/plain", "text/markdown", "text/html"] = "text/plain"
    max_bytes: int = Field(20_000_000, gt=0, description="a row with more text is a failed document")

    @field_validator("text", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> RecordsOptions:
        if (self.path is None) == (self.query is None) or (self.dsn is None) != (self.query is None):
            raise ValueError("give either path, or dsn and query")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is named."""
        metadata = () if self.metadata == "*" else self.metadata
        single = (self.title, self.url, self.tenant, self.access, self.modified_at)
        return (self.id, *self.text, *(column for column in single if column), *metadata)


class RecordsCursor(msgspec.Struct, frozen=True):
    """The newest time of change seen, and a fingerprint of the options it was seen with."""

    modified_at: datetime
    options: str


CURSOR = Form("cursor of records", RecordsCursor)


class RecordsConnector(Connector):
    """Lists the rows of one file or query."""

    kind = "records"
    options_type = RecordsOptions

    def __init__(self, source: str, options: RecordsOptions) -> None:
        super().__init__(source, options)
        self.capabilities = Capabilities(
            changes=options.modified_at is not None, permissions=options.access is not None, lookup=True
        )
        self._options_fingerprint = fingerprint(options.model_dump(mode="json", exclude={"dsn"}))
        self._present: set[str] | None = None

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        yield from self._listing(window, full=not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        if not self.capabilities.changes:
            raise UsageError("this source has no modified_at column; list it fully")
        before = read_cursor(cursor, CURSOR)
        if before.options != self._options_fingerprint:
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        yield from self._listing(
            Window(since=_looking_back(before.modified_at, self.options.overlap)), full=False, before=before
        )

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Reads all rows once more, the first time it is called: a file may have been half written before."""
        if self._present is None:
            try:
                self._present = set(self._identities())
            except CredentialError:
                raise
            except RagError as error:
                raise TransientError(f"the rows cannot be looked up: {error}") from error
        return self._present.intersection(ids)

    def check(self) -> list[Finding]:
        try:
            rows = self._rows()
            present = rows.columns()
            if present is None:
                first = next(rows.rows(None), Row("line 1", {}, UsageError("the file is empty")))
                if first.error is not None:
                    return [Finding("rows", False, f"{rows.name}, {first.place}: {first.error}")]
                present = list(first.values)
        except RagError as error:
            return [Finding("rows", False, str(error))]
        findings = [Finding("rows", True, f"{rows.name} can be read")]
        problem = missing_columns(self.options.columns, present)
        return [*findings, Finding("columns", problem is None, problem or f"found {', '.join(present)}")]

    def _rows(self) -> RowSource:
        options = self.options
        if options.path is not None:
            # A line also holds the other columns, and JSON may write a character as six bytes.
            max_line = 6 * options.max_bytes + 1_000_000
            return FileRows(options.path, options.format, options.delimiter, max_line)
        return QueryRows(options.dsn.get_secret_value(), options.query, options.modified_at)

    def _listing(self, window: Window, full: bool, before: RecordsCursor | None = None) -> Iterator[Entry]:
        """Rows inside `window`; ends with a cursor unless a failed entity may hide documents."""
        started = datetime.now(UTC)
        newest = before.modified_at if before else None
        count = 0
        seen: set[int] = set()
        hidden = False
        try:
            rows = self._rows()
            present = rows.columns()
            if present is not None and (problem := missing_columns(self.options.columns, present)):
                raise UsageError(f"{rows.name}: {problem}")
            for row in rows.rows(window.since):
                entry = self._entry(row, rows.name)
                identity = entry.external_id
                if identity is None:
                    hidden = True
                    yield entry
                    continue
                if hash(identity) in seen:
                    place = f"{rows.name}, {row.place}"
                    error = CorruptDocumentError(
                        f"{place}: the id {identity!r} came before; ids must be unique"
                    )
                    yield Failure(error=error, entity=place, hides_documents=False)
                    continue
                seen.add(hash(identity))
                if isinstance(entry, Item):
                    moment = entry.modified_at
                    if not window.holds(moment):
                        continue
                    # A time in the future must not make the cursor pass rows that are still to come.
                    if moment is not None and (newest is None or moment > newest):
                        newest = min(moment, started)
                count += 1
                yield entry
        except CredentialError:
            raise
        except RagError as error:
            whole = not (seen or hidden)
            hidden = True
            yield Failure(error=error, entity=self.options.path or "query", whole=whole)
        cursor = None
        if newest is not None and not hidden and (full or before):
            cursor = CURSOR.encode(RecordsCursor(newest, self._options_fingerprint))
        yield Complete(count, cursor=cursor, full=full and not hidden)

    def _entry(self, row: Row, name: str) -> Item | Failure:
        """The row as an item, or as a failure that says where it stands."""
        identity = None
        try:
            if row.error is not None:
                raise row.error
            identity = self._identity(row.values)
            return self._item(identity, row.values)
        except RagError as error:
            located = type(error)(f"{name}, {row.place}: {error}")
            if identity is not None:
                return Failure(error=located, external_id=identity)
            return Failure(error=located, entity=f"{name}, {row.place}")

    def _identities(self) -> Iterator[str]:
        rows = self._rows()
        for row in rows.rows(None):
            try:
                if row.error is not None:
                    raise row.error
                identity = self._identity(row.values)
            except RagError as error:
                raise type(error)(f"{rows.name}, {row.place}: {error}") from error
            yield identity

    def _identity(self, values: Mapping[str, Any]) -> str:
        self._require_columns(values, (self.options.id,))
        identity = text_of(values[self.options.id])
        if not identity:
            raise CorruptDocumentError(f"the id in column {self.options.id!r} is empty")
        return identity

    def _item(self, identity: str, values: Mapping[str, Any]) -> Item:
        options = self.options
        if not any(column in values for column in options.text):
            self._require_columns(values, options.text)
        parts = {column: text for column in options.text if (text := text_of(values.get(column), mend=True))}
        content = "\n\n".join(
            f"{column}: {text}" if options.labels else text for column, text in parts.items()
        ).encode()
        title = text_of(values.get(options.title), mend=True) if options.title else ""
        if len(content) > options.max_bytes:
            raise TooLargeDocumentError(
                f"{len(content):,} bytes of text; raise max_bytes ({options.max_bytes:,})"
            )
        url = text_of(values.get(options.url)) if options.url else ""
        return Item(
            external_id=identity,
            token=text_key(title, content.decode()).hex,
            load=partial(bytes, content),
            name=identity,
            path=identity,
            url=url or None,
            title=title or None,
            media_type=options.content_type,
            size=len(content),
            modified_at=moment_of(values.get(options.modified_at)) if options.modified_at else None,
            tenant=self._tenant(values),
            access=self._access(values),
            metadata=self._metadata(values),
        )

    def _require_columns(self, values: Mapping[str, Any], columns: Sequence[str]) -> None:
        if problem := missing_columns(columns, list(values)):
            raise CorruptDocumentError(problem)

    def _tenant(self, values: Mapping[str, Any]) -> str | None:
        if self.options.tenant is None:
            return None
        tenant = text_of(values.get(self.options.tenant))
        if not tenant:
            raise CorruptDocumentError(f"the tenant in column {self.options.tenant!r} is empty")
        return tenant

    def _access(self, values: Mapping[str, Any]) -> AccessRule | None:
        """Any of the principals of the row; closed where it names none, because unknown is closed."""
        if self.options.access is None:
            return None
        value = values.get(self.options.access)
        named = value.split(self.options.access_delimiter) if isinstance(value, str) else value
        if not isinstance(named, list | tuple | set):
            return CLOSED
        principals = {principal for one in named if (principal := text_of(one))}
        return AccessRule((tuple(sorted(principals)),))

    def _metadata(self, values: Mapping[str, Any]) -> dict[str, Any]:
        options = self.options
        columns: Sequence[str] = options.metadata
        if options.metadata == "*":
            columns = [column for column in values if column not in options.columns]
        return json_value({column: values[column] for column in columns if column in values})


def _looking_back(moment: datetime, overlap: timedelta) -> datetime:
    first = datetime.min.replace(tzinfo=UTC)
    return moment - overlap if moment - first > overlap else first
