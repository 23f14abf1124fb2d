"""Which code made a result: digests of a stage's modules, and what they are called in stored fingerprints."""

from __future__ import annotations
