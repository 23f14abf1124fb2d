"""One invocation of the command line: its global options, and how it ends.

What belongs here: what every command gets (the configuration) and what every command's failure
becomes (a message and an exit code). What does not: any command.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from rag_pipelines import logs, tracing
from rag_pipelines.errors import ConfigError, CredentialError, RagError, TransientError, UsageError

if TYPE_CHECKING:
    from rag_pipelines.config import Settings
    from rag_pipelines.embedding.embedders import Embedders
    from rag_pipelines.monitoring.lineage import Lineage
    from rag_pipelines.runtime import Runtime
    from rag_pipelines.store.database import Database

log = logs.get(__name__)


class ExitCode(IntEnum):
    """What the exit status of a command means."""

    OK = 0
    FAILED = 1
    """The operation failed or was refused: a gate, a check, the database."""
    USAGE = 2
    """The command line or the configuration is wrong; nothing was done."""
    PARTIAL = 3
    """Finished, but not whole: documents failed, could not all be listed, or drifted."""
    CREDENTIAL = 4
    """A source or an endpoint rejected the credentials."""
    TRANSIENT = 5
    """A transient failure; the same command may work later."""
    BUG = 70
    """An error nobody foresaw; the traceback is printed."""
    INTERRUPTED = 130
    """Ctrl-C."""


EXIT_CODES: tuple[tuple[type[RagError], ExitCode], ...] = (
    (ConfigError, ExitCode.USAGE),
    (UsageError, ExitCode.USAGE),
    (CredentialError, ExitCode.CREDENTIAL),
    (TransientError, ExitCode.TRANSIENT),
    (RagError, ExitCode.FAILED),
)
"""The code of each error, the first class that fits."""


LASTING = frozenset({"serve", "mcp", "metrics", "demo"})
"""Commands that go on until they are stopped: what they are asked for is a trace, not they."""


@dataclass
class Invocation:
    """The global options; the configuration, the database and the models come when first asked for."""

    config: Path | None = None
    debug: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """What the configuration's references to variables mean."""
    command: str = ""
    traceparent: str | None = None
    """The trace that this is part of, as W3C writes it."""
    _span: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def settings(self) -> Settings:
        """The valid configuration. Raises `ConfigError`."""
        from rag_pipelines.config import load_config

        return load_config(self.config, self.environment)

    @cached_property
    def runtime(self) -> Runtime:
        """Database, configuration and models as one. Raises what `open_runtime` does."""
        from rag_pipelines.runtime import open_runtime

        opened = open_runtime(self.settings)
        if self.command not in LASTING:
            caller = {"traceparent": self.traceparent} if self.traceparent else None
            self._span.enter_context(tracing.span(f"rag-pipelines {self.command}", caller=caller))
        return opened

    @property
    def database(self) -> Database:
        """The database; opened with the models, none of which is loaded by that."""
        return self.runtime.database

    @property
    def embedders(self) -> Embedders:
        """The models; each is loaded when it has something to embed."""
        return self.runtime.embedders

    @cached_property
    def lineage(self) -> Lineage:
        """What other systems are told about where data came from."""
        from rag_pipelines.monitoring.lineage import Lineage

        return Lineage(self.settings, self.database)

    def close(self) -> None:
        """Give back what the command opened."""
        if "runtime" in self.__dict__:
            self._span.close()
            self.runtime.close()


def invocation(context: typer.Context) -> Invocation:
    """The invocation that a command runs in."""
    found = context.find_object(Invocation)
    if found is None:
        raise RuntimeError("the command was called without the application's callback")
    return found


def program() -> str:
    """How this command is called from here."""
    if shutil.which("rag-pipelines"):
        return "rag-pipelines"
    here, called = Path.cwd(), Path(sys.argv[0]).absolute()
    return str(called.relative_to(here) if called.is_relative_to(here) else called)


def exit_code(error: BaseException) -> ExitCode:
    """The exit status that `error` leads to."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), ExitCode.BUG)


class Commands(TyperGroup):
    """The root group: the one place where an error becomes a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (RagError, KeyboardInterrupt) as error:
            from rag_pipelines.cli.output import say

            found = ctx.find_object(Invocation)
            if found is not None and found.debug:
                traceback.print_exception(error)
            say("interrupted" if isinstance(error, KeyboardInterrupt) else f"error: {error}")
            raise typer.Exit(exit_code(error)) from None
        except (BrokenPipeError, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("typer", "click"):
                raise
            log.error("a bug ended the command", error=type(error).__name__, exit_code=int(ExitCode.BUG))
            traceback.print_exception(error)
            raise typer.Exit(ExitCode.BUG) from None
        finally:
            if (found := ctx.find_object(Invocation)) is not None:
                found.close()
