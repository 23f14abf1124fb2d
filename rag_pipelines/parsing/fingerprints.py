"""What parsed documents are known by: the fingerprint of whatever makes them out of the same bytes.

What belongs here: which code and which options the parser of a media type consists of. What does not: how
code becomes a digest (`provenance`), and parsing.
"""

from __future__ import annotations

from functools import lru_cache

from rag_pipelines.errors import UnsupportedDocumentError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.parsing.base import Ocr, ParseOptions
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.provenance.stages import StageCode, made_by

_ROOM = __name__.rpartition(".")[0]


def parser_stage(media_type: str, options: ParseOptions | None = None) -> StageCode:
    """The code that reads one media type: what every parse runs, and the module of its format and engine.

    A format whose documents have parts of any type runs the modules of all formats.

    Raises:
        UnsupportedDocumentError: no parser reads `media_type`.
    """
    if media_type not in FORMATS:
        raise UnsupportedDocumentError(
            f"no parser for media type {media_type!r}; there are {', '.join(sorted(FORMATS))}"
        )
    chosen = FORMATS[media_type]
    formats = FORMATS.values() if chosen.parts else [chosen]
    read = {known.reader(options or ParseOptions()) for known in formats}
    modules = ("registry", "stored", *sorted(read))
    return StageCode(f"parser:{media_type}", tuple(f"{_ROOM}.{name}" for name in modules))


def parser_fingerprint(media_type: str, options: ParseOptions | None = None) -> str:
    """What the parsed form of one media type depends on beside the bytes, as 32 hexadecimal digits.

    The code, the libraries, and only those options that matter to it: a changed PDF mode leaves the
    Markdown documents as they are. Raises as `parser_stage` does.
    """
    return _fingerprint(media_type, options or ParseOptions())


def parser_fingerprints(options: ParseOptions | None = None) -> dict[str, str]:
    """The parser fingerprint of every media type."""
    return {media_type: parser_fingerprint(media_type, options) for media_type in FORMATS}


@lru_cache(maxsize=256)
def _fingerprint(media_type: str, options: ParseOptions) -> str:
    made = made_by(parser_stage(media_type, options))
    relevant = {name: getattr(options, name) for name in FORMATS[media_type].options}
    if options.links != ParseOptions.links:
        relevant["links"] = options.links
    if options.ocr.engine != "off":
        relevant["ocr"] = [options.ocr, *_recognition(options.ocr)]
    return fingerprint([media_type, made.code, made.libraries, relevant])


def _recognition(options: Ocr) -> tuple[str, str]:
    """The engine that reads pictures here, and the code around it, imported where it is asked for."""
    from rag_pipelines.parsing.ocr import identity

    return identity(options), made_by(StageCode("ocr", (f"{_ROOM}.ocr",))).code
