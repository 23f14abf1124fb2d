"""One way to speak HTTP: sessions, pacing, answers as errors.

What belongs here: what connectors, embedding endpoints and rerankers share. What does not: any vendor's
interface.
"""

from __future__ import annotations
