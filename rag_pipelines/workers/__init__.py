"""Processes with limits on time and memory, for work on untrusted input; none imports a database driver."""

from __future__ import annotations
