"""Mail messages: EML and MSG."""

from __future__ import annotations
