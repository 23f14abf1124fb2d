"""The child side of the worker pool: one function, run on one task after another, behind the sandbox.

What belongs here: the wire format and the loop of the child. What does not: starting, feeding,
watching and killing children (`child`, `pool`), or what the function does (`sync.prepare`).

A child is ``python -P -m rag_pipelines.workers.loop SETTINGS``. Tasks come in on its standard
input, replies leave by its standard output, both as frames: eight bytes of length, then MessagePack.
The function's annotations are the wire types, so the parent decodes typed values and never
unpickles what comes from a process that has read a hostile file. The first frame of a child is
empty and says that it is ready.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import pkgutil
import sys
import time
import traceback
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from rag_pipelines import errors
from rag_pipelines.errors import DocumentError, ParseMemoryError, RagError, TooLargeDocumentError
from rag_pipelines.parsing.base import ParseLimits
from rag_pipelines.workers import sandbox

MAX_REPLY_BYTES = 256 << 20
"""A larger reply is refused: 20 million characters of text with their chunks stay well below."""

HEADER_BYTES = 8

_COLLECT_AFTER = (50_000, 20, 100)
"""Thresholds of the garbage collector. A document makes hundreds of thousands of objects that live until
it is done; with the defaults they are traversed over and over, for 2 to 9 % of the time of Markdown."""

_LONG_TASK = 0.2
"""Seconds; a longer task may leave a large tree, which is collected at once and not some tasks later."""

_MAX_MESSAGE = 2_000
"""Characters of an error message; some libraries quote the document in theirs."""

_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))

_ERRORS: dict[str, type[RagError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, RagError)
}


class WorkerSettings(msgspec.Struct, frozen=True):
    """What a child is told on its command line. `function` is ``module:name``."""

    function: str
    limits: ParseLimits
    parent: int


class Reply(msgspec.Struct, array_like=True):
    """The answer to one task: an encoded value, or the class and message of an error.

    `seconds` is wall time, `cpu_seconds` the processor time of the whole child.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    value: msgspec.Raw = _NOTHING
    error: str | None = None
    message: str = ""


def wire_types(function: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The types of a function's only parameter and of its result, as annotated."""
    hints = typing.get_type_hints(function)
    result = hints.pop("return")
    (task,) = hints.values()
    return task, result


def error_of(reply: Reply) -> RagError:
    """The error of a reply, as an instance of the class it had in the child."""
    return _ERRORS.get(reply.error or "", DocumentError)(reply.message)


def where(places: Sequence[tuple[str, int, str]]) -> str:
    """For the person who mends the parser: the innermost place in our own code, else the innermost of all.

    Args:
        places: file, line and function of each frame, innermost first.
    """
    own = [place for place in places if "rag_pipelines" in place[0]]
    for file, line, function in (own or places)[:1]:
        return f" (in {function}, {os.path.basename(file)}:{line})"
    return ""


def main() -> None:
    """Run the function named in the settings until the parent closes the pipe."""
    settings = msgspec.json.decode(sys.argv[1], type=WorkerSettings)
    tasks, replies = _take_pipes()
    faulthandler.enable()
    sandbox.enter(settings.limits, settings.parent)

    function = pkgutil.resolve_name(settings.function)
    decoder = msgspec.msgpack.Decoder(wire_types(function)[0])
    encoder = msgspec.msgpack.Encoder()
    gc.set_threshold(*_COLLECT_AFTER)
    _send(replies, b"")
    preload = getattr(sys.modules[function.__module__], "preload", None)
    if preload is not None:
        preload()
    gc.freeze()
    for payload in _frames(tasks):
        os.truncate(2, 0)
        reply = answer(function, decoder, encoder, payload)
        _send(replies, encoder.encode(reply))
        if reply.seconds > _LONG_TASK:
            del reply
            gc.collect()


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes under other descriptors; a parser sees an empty input and prints to the error file."""
    tasks, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return tasks, replies


def _frames(tasks: BinaryIO) -> Iterator[bytes]:
    while header := tasks.read(HEADER_BYTES):
        yield tasks.read(int.from_bytes(header))


def _send(replies: BinaryIO, payload: bytes) -> None:
    replies.write(len(payload).to_bytes(HEADER_BYTES))
    replies.write(payload)
    replies.flush()


def answer(
    function: Callable[[Any], Any],
    decoder: msgspec.msgpack.Decoder[Any],
    encoder: msgspec.msgpack.Encoder,
    payload: bytes,
) -> Reply:
    """Run a task: the encoded value that `function` returns, or the error it raises."""
    reply = Reply()
    cpu, start = time.process_time(), time.perf_counter()
    try:
        value = encoder.encode(function(decoder.decode(payload)))
        if len(value) > MAX_REPLY_BYTES:
            raise TooLargeDocumentError(
                f"the result takes {len(value):,} bytes, a worker may return {MAX_REPLY_BYTES:,}; "
                "split the document or lower limits.max_characters"
            )
        reply.value = msgspec.Raw(value)
    except Exception as error:
        reply.error, message = _describe(error)
        reply.message = message[:_MAX_MESSAGE].encode("utf-8", "replace").decode()
    reply.seconds, reply.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return reply


def _describe(error: Exception) -> tuple[str, str]:
    """The name of the class to raise in the parent, and the message."""
    if isinstance(error, RagError):
        known = next(cls for cls in type(error).__mro__ if _ERRORS.get(cls.__name__) is cls)
        return known.__name__, str(error)
    if isinstance(error, MemoryError):
        return ParseMemoryError.__name__, f"needs more memory than limits.memory_mb allows{_where(error)}"
    if isinstance(error, RecursionError):
        return TooLargeDocumentError.__name__, f"nested too deeply to be read{_where(error)}"
    return DocumentError.__name__, f"unexpected {type(error).__name__}: {error}{_where(error)}"


def _where(error: Exception) -> str:
    places = [
        (place.filename, place.lineno or 0, place.name) for place in traceback.extract_tb(error.__traceback__)
    ]
    return where(places[::-1])


if __name__ == "__main__":
    main()
