"""What runs say while they run: records of the standard `logging`, with fields beside the message.

What belongs here: fields, the context that every record of a block carries, and the two forms in which
records are written. What does not: what is worth a record (each module knows its own), and Dagster's log.

Usage::

    log = logs.get(__name__)

    with logs.context(source="wiki"):
        log.info("stage ended", stage="list", seconds=1.5, listed=40)

A message says what happened and is the same each time; what differs from time to time is a field. No field
holds content, secrets or principals: documents are named by their ids. Levels: INFO for beginnings and ends,
WARNING for what somebody may have to look at (a wait, a worker that died, a failed document, a refused gate),
ERROR for what ended a run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

import msgspec

ROOT = "rag_pipelines"

_context: ContextVar[Mapping[str, Any]] = ContextVar("log context", default=MappingProxyType({}))

logging.getLogger(ROOT).addHandler(logging.NullHandler())


class Log:
    """A logger whose keyword arguments are the fields of the record; None is left out."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, message: str, **fields: Any) -> None:
        self.log(logging.DEBUG, message, **fields)

    def info(self, message: str, **fields: Any) -> None:
        self.log(logging.INFO, message, **fields)

    def warning(self, message: str, **fields: Any) -> None:
        self.log(logging.WARNING, message, **fields)

    def error(self, message: str, **fields: Any) -> None:
        self.log(logging.ERROR, message, **fields)

    def log(self, level: int, message: str, **fields: Any) -> None:
        if self._logger.isEnabledFor(level):
            told = {name: value for name, value in {**_context.get(), **fields}.items() if value is not None}
            self._logger.log(level, message, extra={"fields": told})


def get(name: str) -> Log:
    """The log of a module: ``logs.get(__name__)``."""
    return Log(logging.getLogger(name))


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Every record of the block, and of threads that were started with its context, carries these fields."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def seconds_since(began: float) -> float:
    """Seconds since `began` on `time.perf_counter`, as a field shows them."""
    return round(time.perf_counter() - began, 3)


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """The fields of a record; empty for one of a plain logger."""
    return getattr(record, "fields", {})


def as_text(record: logging.LogRecord, without: Container[str] = ()) -> str:
    """The message with its fields, but those `without`, as ``name=value``; values with blanks are quoted."""
    fields = fields_of(record).items()
    parts = [f"{name}={_word(value)}" for name, value in fields if name not in without]
    return "  ".join([record.getMessage(), " ".join(parts)] if parts else [record.getMessage()])


class TextFormatter(logging.Formatter):
    """A line a record for people: time (UTC), level, module, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        module = record.name.removeprefix(f"{ROOT}.")
        line = f"{_time_of(record)} {record.levelname:<7} {module}: {as_text(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """A JSON object a record for programs: time (RFC 3339, UTC), level, logger, message, and each field."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(said, enc_hook=str).decode()


FORMATTERS: Mapping[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}


@contextmanager
def written(stream: TextIO, level: str, format: str) -> Iterator[None]:
    """Write the records of the block that are of `level` (its name) or above to `stream`, one line each.

    Args:
        format: one of `FORMATTERS`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[format]())
    with handled(handler, getattr(logging, level.upper())):
        yield


@contextmanager
def handled(handler: logging.Handler, level: int, name: str = ROOT) -> Iterator[None]:
    """Give the records of the block that are of `level` or above to `handler` too: of the logger `name`."""
    root = logging.getLogger(name)
    before = root.level
    handler.setLevel(level)
    root.addHandler(handler)
    root.setLevel(min(level, before or level))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _word(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    plain = text and not any(character.isspace() or character in '"=' for character in text)
    return text if plain else msgspec.json.encode(text).decode()
