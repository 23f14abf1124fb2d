"""Office documents: Word, Excel, PowerPoint, OpenDocument, RTF, old and new."""

from __future__ import annotations
