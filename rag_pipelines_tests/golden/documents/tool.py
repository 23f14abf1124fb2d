"""Reads a gauge."""

from __future__ import annotations

import math


class Gauge:
    """One gauge."""

    def level(self, raw: int) -> float:
        return math.sqrt(raw)  # in metres


def main() -> None:
    print(Gauge().level(4))
