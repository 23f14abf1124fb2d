"""A ServiceNow instance of any size, always the same, for tests of whole syncs.

What belongs here: the instance's content. What does not: how an instance behaves (`servicenow_state`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rag_pipelines_tests.doubles.servicenow_state import Instance


def sample_instance(articles: int) -> Instance:
    """Two bases; every 10th article has an attachment, every 15th a block of its own."""
    site = Instance(now=datetime(2025, 1, 1, tzinfo=UTC))
    people = [site.user(name) for name in ("ann", "bob", "cia")]
    staff = site.criterion("staff", group=[site.group("staff", *people[:2])])
    bases = [site.base(title) for title in ("HR", "IT")]
    site.set_criteria(bases[0], "can_read", [staff])
    for number in range(articles):
        site.tick(timedelta(minutes=10))
        text = f"<p>{f'What to do in case {number}. ' * 20}</p>"
        article = site.article(bases[number % 2], f"Case {number}", text)
        if number % 10 == 9:
            site.attach(article, f"plan {number}.txt", f"line {number} of a plan\n".encode() * 50)
        if number % 15 == 9:
            site.use_block(
                article, site.block(bases[0], f"Block {number}", f"<p>Only for staff {number}</p>")
            )
    site.tick(timedelta(days=1))
    return site
