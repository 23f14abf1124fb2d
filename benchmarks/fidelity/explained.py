"""Why the files that read worst do, judged by eye: read from `explained.yaml`; and what their parse counts.

What belongs here: reasons, and the losses that a parse counts. What does not: figures (`scoring`), taking
words back that no reader is asked for (`exceptions`).
"""

from __future__ import annotations

from pathlib import Path

import yaml

from fidelity.corpus import File

FILE = Path(__file__).with_suffix(".yaml")


def reasons() -> dict[str, str]:
    """What is known of a file, by its label."""
    return {one["file"]: one["reason"] for one in yaml.safe_load(FILE.read_text(encoding="utf-8"))}


def losses(file: File) -> str:
    """What a parse of `file` says that it lost; empty if it says nothing."""
    from rag_pipelines.errors import RagError
    from rag_pipelines.parsing.base import ParseOptions, ParseRequest
    from rag_pipelines.parsing.losses import Loss
    from rag_pipelines.parsing.registry import parse

    options = ParseOptions(html_main_content=False)
    try:
        counters = parse(ParseRequest(file.path.read_bytes(), file.path.name, options=options)).counters
    except RagError as error:
        return f"not read: {error}"
    return ", ".join(f"{loss} {counters[loss]}" for loss in Loss if counters.get(loss))
