"""What is kept and what goes: garbage, purges and the proof that something is gone."""

from __future__ import annotations
