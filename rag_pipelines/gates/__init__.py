"""The gates that a built version must pass before it may go live, and canaries, which go on judging.

What does not belong here: the stored results (`index.gate_results`) and the decision (`index.promotion`).
"""

from __future__ import annotations
