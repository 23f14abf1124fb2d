"""A Jira site of any size, always the same, for tests of whole syncs.

What belongs here: the site's content. What does not: how a site behaves (`jira_state`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rag_pipelines_tests.doubles.jira_state import Site, adf, holder


def sample_site(issues: int, *, cloud: bool) -> Site:
    """A site of two projects; every 10th issue has an attachment, every 15th a comment."""
    site = Site(now=datetime(2025, 1, 1, tzinfo=UTC))
    for name in ("ann", "bob", "cia"):
        site.account(name, name.title(), f"{name}@example.com")
    site.group("staff", "ann", "bob")
    for key in ("OPS", "WEB"):
        site.project(key, key.title(), holder("group", "staff"))
    for number in range(issues):
        site.tick(timedelta(hours=1))
        text = f"What happened on day {number}. " * 20
        description = adf(text) if cloud else text
        issue = site.create(("OPS", "WEB")[number % 2], f"Incident {number}", description, reporter="ann")
        if number % 10 == 9:
            site.attach(issue.id, f"log {number}.txt", f"line {number} of a log\n".encode() * 50)
        if number % 15 == 9:
            site.comment(issue.id, adf("Seen again.") if cloud else "Seen again.")
    site.tick(timedelta(days=1))
    return site
