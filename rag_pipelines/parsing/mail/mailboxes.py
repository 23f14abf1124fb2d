"""Where the messages of a mailbox in one file begin.

What belongs here: what tells a mailbox from a message, which recognising a type asks. What does not: reading
it (`mbox`).
"""

from __future__ import annotations

import re

BEGINS = re.compile(rb"(?:\A|\r?\n\r?\n)From [^\n]*\d{4}[^\n]*\n(?=[!-9;-~]+:)")
"""The line before a message, with the year of its date: behind a blank line, and before a header."""


def is_mailbox(data: bytes) -> bool:
    """Whether more than one message begins in `data`."""
    begins = BEGINS.finditer(data)
    return next(begins, None) is not None and next(begins, None) is not None
