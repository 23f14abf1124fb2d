"""PDF: pages, reading order, columns, tables, structure."""

from __future__ import annotations
