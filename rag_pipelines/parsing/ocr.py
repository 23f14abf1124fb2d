"""Optical character recognition: the lines of text in a picture, each with how sure the engine is.

What belongs here: the engines behind one function, and which of them runs. What does not: which pages and
pictures are read (`pdf`, `image`, the office formats), turning lines into paragraphs. Parsers are given
`recognise` with their request and import nothing of this, because engines differ between machines.

Tesseract is a program of the system, asked by its command line with tab-separated answers (`tesseract(1)`).
RapidOCR is the extra `ocr`, with the weights of PP-OCR in its wheel; it reads Chinese, Japanese, English and
other languages in Latin letters with one model and takes no heed of `languages`.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import lru_cache, reduce
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from typing import Any

from rag_pipelines.errors import ConfigError, CorruptDocumentError
from rag_pipelines.parsing.base import Ocr, RecognisedLine
from rag_pipelines.text.boundaries import join_pieces

WIDE_GAP = 1.0
"""White between the words of a line, in heights of a word, above which they are pieces of a row."""


def recognise(png: bytes, options: Ocr) -> list[RecognisedLine]:
    """The lines of a picture in the order in which the engine of `options` reads them.

    Args:
        png: the picture, in any format that the engine opens; its resolution is ``options.dpi``.

    Raises:
        ConfigError: the engine or one of its languages is not installed.
        CorruptDocumentError: the engine cannot read the picture.
    """
    return _ENGINES[chosen_engine(options)](png, options)


def chosen_engine(options: Ocr) -> str:
    """The engine that `options` mean on this machine: under ``auto`` Tesseract where it is installed.

    Raises:
        ConfigError: it is not installed.
    """
    installed = {"tesseract": shutil.which("tesseract"), "rapidocr": find_spec("rapidocr")}
    wanted = ("tesseract", "rapidocr") if options.engine == "auto" else (options.engine,)
    for engine in wanted:
        if installed.get(engine):
            return engine
    raise ConfigError(
        f"ocr.engine is {options.engine!r}, and {' or '.join(wanted)} is not installed here; valid are "
        "'off', 'auto', 'tesseract' (Debian: apt install tesseract-ocr) and 'rapidocr' "
        "(pip install 'rag-pipelines[ocr]')"
    )


@lru_cache(maxsize=8)
def identity(options: Ocr) -> str:
    """What the text of a picture depends on beside the picture: engine, version and languages. '' if off.

    Raises:
        ConfigError: the engine or one of its languages is not installed.
    """
    if options.engine == "off":
        return ""
    if chosen_engine(options) == "rapidocr":
        return f"rapidocr {version('rapidocr')}"
    _check_languages(options.languages)
    said = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=False)
    return f"{(said.stdout or said.stderr).splitlines()[0]} {'+'.join(options.languages)}"


@lru_cache(maxsize=8)
def _check_languages(languages: tuple[str, ...]) -> None:
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    there = set(listed.stdout.split("\n")[1:]) - {"", "osd"}
    if missing := [language for language in languages if language not in there]:
        raise ConfigError(
            f"ocr.languages has {', '.join(map(repr, missing))}, which Tesseract lacks here; it has "
            f"{', '.join(sorted(there)) or 'none'} (Debian: apt install tesseract-ocr-{missing[0]})"
        )


def _tesseract(png: bytes, options: Ocr) -> list[RecognisedLine]:
    _check_languages(options.languages)
    command = [
        "tesseract",
        "stdin",
        "stdout",
        "-l",
        "+".join(options.languages),
        "--dpi",
        str(options.dpi),
        "tsv",
    ]
    done = subprocess.run(
        command, input=png, capture_output=True, check=False, env={**os.environ, "OMP_THREAD_LIMIT": "1"}
    )
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CorruptDocumentError(
            f"Tesseract cannot read the picture: {reason[-1] if reason else 'no reason given'}"
        )
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    rows = csv.DictReader(
        io.StringIO(done.stdout.decode("utf-8", "replace")), delimiter="\t", quoting=csv.QUOTE_NONE
    )
    for row in rows:
        if row["level"] == "5" and row["text"].strip():
            lines.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
    return [_joined(words) for line in lines.values() for words in _pieces(line)]


def _pieces(words: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """The words of a line, parted where the white between them is as wide as between cells of a table."""
    widest = WIDE_GAP * median(float(word["height"]) for word in words)
    piece = words[:1]
    for before, word in itertools.pairwise(words):
        if float(word["left"]) - float(before["left"]) - float(before["width"]) > widest:
            yield piece
            piece = []
        piece.append(word)
    yield piece


def _joined(words: list[dict[str, str]]) -> RecognisedLine:
    """Words beside each other; their confidence is that of their characters on average."""
    text = reduce(join_pieces, [word["text"] for word in words])
    weights = [len(word["text"]) for word in words]
    confidence = sum(float(word["conf"]) * weight for word, weight in zip(words, weights, strict=True))
    left, top = (min(float(word[side]) for word in words) for side in ("left", "top"))
    right = max(float(word["left"]) + float(word["width"]) for word in words)
    bottom = max(float(word["top"]) + float(word["height"]) for word in words)
    return RecognisedLine(text, confidence / sum(weights) / 100, (left, top, right, bottom))


@lru_cache(maxsize=1)
def _rapidocr_engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(params={"Global.log_level": "critical"})


def _rapidocr(png: bytes, options: Ocr) -> list[RecognisedLine]:
    found = _rapidocr_engine()(png)
    if found.txts is None:
        return []
    lines = []
    for text, score, corners in zip(found.txts, found.scores, found.boxes, strict=True):
        xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
        if text.strip():
            lines.append(RecognisedLine(text.strip(), float(score), (min(xs), min(ys), max(xs), max(ys))))
    return lines


_ENGINES: dict[str, Callable[[bytes, Ocr], list[RecognisedLine]]] = {
    "tesseract": _tesseract,
    "rapidocr": _rapidocr,
}
