"""Text as such: canonical form and boundaries. What does not belong here: formats, blocks, chunks."""

from __future__ import annotations
