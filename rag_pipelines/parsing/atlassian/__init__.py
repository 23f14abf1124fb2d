"""Confluence storage format, Jira issues, the Atlassian document format and wiki markup."""

from __future__ import annotations
