"""MuPDF for the PDF parser: its import, its messages, and the layout and table models.

What belongs here: everything that is process-wide state of PyMuPDF. What does not: anything about
one document.

PyMuPDF 2 imports its ONNX models together with the library (136 MB instead of 47, a thread per core).
The fast text path needs none of them, so they are held back here until a page asks for them, and then
run on one thread: parsing is parallel over worker processes, and one thread is also the faster choice
(31 table pages in 8.5 s against 11.7 s with two threads on two cores, 8.4 against 13.7 CPU seconds). The
models that take a picture of one size keep their memory (230 MB) from one to the next, which saves a third of
their time; that of the others would grow with the largest page.
"""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any

HELD_BACK = ("pymupdf.layout", "pymupdf4llm")
"""What PyMuPDF imports if it can; both bring the models."""

STORE_SHRINK_PERCENT = 100


@functools.cache
def mupdf() -> Any:
    """The `pymupdf` module, silent on stdout and stderr, without its models unless they are already in.

    Its table finder, too, gives a glyph that the file maps to no character as U+FFFD, not as the character
    that has the number of the glyph.
    """
    held_back = [] if "pymupdf" in sys.modules else [name for name in HELD_BACK if name not in sys.modules]
    for name in held_back:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it now raises ImportError
    try:
        import pymupdf
    finally:
        for name in held_back:
            del sys.modules[name]
    pymupdf.table.FLAGS &= ~pymupdf.TEXT_CID_FOR_UNKNOWN_UNICODE
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    pymupdf.set_messages(pylogging=True, pylogging_name="pymupdf", pylogging_level=logging.DEBUG)
    return pymupdf


@functools.cache
def load_models() -> None:
    """Load the layout and table models once; from then on ``page.get_layout`` works in this process."""
    mupdf()
    import onnxruntime

    original = onnxruntime.InferenceSession

    def single_threaded(model: Any, sess_options: Any = None, **options: Any) -> Any:
        sess_options = sess_options or onnxruntime.SessionOptions()
        sess_options.intra_op_num_threads = 1
        session = original(model, sess_options=sess_options, **options)
        if _takes_pictures(session):
            sess_options.enable_cpu_mem_arena = True
            session = original(model, sess_options=sess_options, **options)
        return session

    onnxruntime.InferenceSession = single_threaded
    try:
        import pymupdf.layout  # noqa: F401
    finally:
        onnxruntime.InferenceSession = original


def _takes_pictures(session: Any) -> bool:
    """Whether a model takes one picture of one size (batch, channels, height, width)."""
    shapes = [given.shape for given in session.get_inputs()]
    return len(shapes) == 1 and len(shapes[0]) == 4 and all(isinstance(side, int) for side in shapes[0][1:])


def faults() -> tuple[type[Exception], ...]:
    """What MuPDF raises for what is damaged."""
    return RuntimeError, ValueError, mupdf().mupdf.FzErrorBase


def warnings_since_last() -> list[str]:
    """MuPDF's warnings since the last call, without repeats, in order of first appearance."""
    return list(dict.fromkeys(filter(None, mupdf().TOOLS.mupdf_warnings(reset=True).splitlines())))


def warned_of(text: str) -> bool:
    """Whether a warning of MuPDF since `warnings_since_last` has `text` in it."""
    return text in mupdf().TOOLS.mupdf_warnings(reset=False)


def release_memory() -> None:
    """Give back what MuPDF keeps between pages (fonts, images, decoded streams)."""
    mupdf().TOOLS.store_shrink(STORE_SHRINK_PERCENT)
