"""Comparing what a source lists with what is stored and indexed, and mending what drifted."""

from __future__ import annotations
