"""What tells of changes: each message becomes a hint that a run is worth while, and nothing else.

What belongs here: reading queues (`sqs`, `azure_queue`), what a message names (`messages`), emptying them
(`drain`), and asking for notifications (`subscriptions`). What does not: receiving these (`serving.events`),
and running a source.
"""

from __future__ import annotations
