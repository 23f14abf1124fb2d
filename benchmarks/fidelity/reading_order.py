"""The order in which a person reads pages, judged by eye: read from `reading_order.yaml`.

What belongs here: the judged passages of a file. What does not: how many of them a reading has in order
(`scoring`).
"""

from __future__ import annotations

from pathlib import Path

import yaml

from fidelity.scoring import Threads, tokens

FILE = Path(__file__).with_suffix(".yaml")


def judged() -> dict[str, Threads]:
    """The threads of each judged file, by its label."""
    return {
        one["file"]: [[tokens(str(passage)) for passage in thread] for thread in one["passages"]]
        for one in yaml.safe_load(FILE.read_text(encoding="utf-8"))
    }
