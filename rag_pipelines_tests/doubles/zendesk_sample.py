"""A Zendesk account of any size, always the same, for tests of whole syncs.

What belongs here: the account's content. What does not: how an account behaves (`zendesk_state`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rag_pipelines_tests.doubles.zendesk_state import Desk


def sample_desk(articles: int) -> Desk:
    """Two sections; every 10th article has a file, every 15th a translation, and goes with a ticket."""
    desk = Desk(now=datetime(2025, 1, 1, tzinfo=UTC))
    category = desk.category("Help")
    sections = [desk.section(name, category) for name in ("HR", "IT")]
    ann, bob, _ = (desk.user(name) for name in ("ann", "bob", "cia"))
    for number in range(articles):
        desk.tick(timedelta(minutes=10))
        text = f"<p>{f'What to do in case {number}. ' * 20}</p>"
        article = desk.article(sections[number % 2], f"Case {number}", text)
        if number % 10 == 9:
            desk.attach(article, f"plan {number}.txt", f"line {number} of a plan\n".encode() * 50)
        if number % 15 == 7:
            desk.translate(
                article, "de", f"Fall {number}", f"<p>{f'Was in Fall {number} zu tun ist. ' * 9}</p>"
            )
            said = ((ann, f"It is case {number}.", True), (bob, f"So it is {number}.", False))
            desk.ticket(f"Ticket {number}", ann, *said[: 1 + number % 2])
    desk.tick(timedelta(days=1))
    return desk
