"""HTML and what is made of it: pages, XML documents, EPUB books."""

from __future__ import annotations
