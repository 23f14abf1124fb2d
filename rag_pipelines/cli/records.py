"""The log of a command: which records are written to stderr, and how.

What belongs here: the options ``--log-level`` and ``--log-format``. What does not: what is logged (`logs`).
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum

import typer

from rag_pipelines import logs
from rag_pipelines.cli.output import records, say

TAKES_LONG = "rag_pipelines.embedding.conversion"
"""What people are told of whether or not a log is written: minutes without a line look like a fault."""


class LogLevel(StrEnum):
    """The least level of what is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How records are written."""

    TEXT = "text"
    JSON = "json"


class _Said(logging.Handler):
    """Says a record as a message for people."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def write_log(context: typer.Context, level: LogLevel | None, format: LogFormat | None) -> None:
    """Write the records of the command to stderr until it ends.

    Where nothing was asked for: warnings, but nothing where a person watches, who is told by messages. In
    JSON form messages for people become records too, so that every line of stderr is an object.
    """
    records.kept = format is LogFormat.JSON
    if level in (None, LogLevel.WARNING, LogLevel.ERROR) and not records.kept:
        context.with_resource(logs.handled(_Said(), logging.INFO, TAKES_LONG))
    if level is None and format is None and sys.stderr.isatty():
        return
    chosen = level or (LogLevel.INFO if records.kept else LogLevel.WARNING)
    context.with_resource(logs.written(sys.stderr, chosen, format or LogFormat.TEXT))
