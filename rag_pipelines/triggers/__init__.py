"""Queues that tell of changes: each message becomes a hint that a run is worth while, and nothing else.

What belongs here: reading queues (`sqs`, `azure_queue`), what a message names (`messages`), and emptying them
(`drain`). What does not: notifications over HTTP (`serving.events`), and running a source.
"""

from __future__ import annotations
