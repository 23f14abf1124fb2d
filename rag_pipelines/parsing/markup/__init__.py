"""Text and text with marks: Markdown, reStructuredText, AsciiDoc, Org, code, JSON, CSV, notebooks."""

from __future__ import annotations
