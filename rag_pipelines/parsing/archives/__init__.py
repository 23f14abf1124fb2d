"""Archives of files: ZIP, 7z and TAR, and single files that are compressed."""

from __future__ import annotations
