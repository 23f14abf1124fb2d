"""A Confluence site of any size, the same for the same seed, for tests and benchmarks of whole syncs.

What belongs here: the site's content. What does not: how a site behaves (`confluence_state`).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from rag_pipelines_tests.doubles.confluence_state import Readers, Site

_TEXT = """
account access approval archive audit backup budget build capacity change claim contract cost
customer data delivery deploy design draft error estimate failover finance guide handover incident
index invoice latency licence limit log measure merge meter migration network note order outage
owner page payment plan policy price process proposal queue quota record region release report
request review risk role rollback route sample schedule scope server service shift site source staff
stage status storage supplier support table target task team test ticket token travel update usage
value vendor version volume warranty window
"""
WORDS = _TEXT.split()


def sample_site(pages: int, seed: int = 3, spaces: int = 5) -> Site:
    """A site of `spaces` spaces with `pages` pages in trees, a comment and an attachment on every 50th.

    Every 20th page is restricted to a group, and so is what stands below it. A page was made each hour,
    the last a day ago.
    """
    rng = random.Random(seed)
    site = Site(now=datetime(2025, 1, 1, tzinfo=UTC))
    for number in range(8):
        site.person(f"user{number}", f"User {number}", f"user{number}@example.com")
    site.group("staff", *(f"user{number}" for number in range(8)))
    site.group("board", "user0", "user1")
    for number in range(spaces):
        site.space(f"SP{number}", readers=Readers(groups=["staff"]))
    trees: list[list[int]] = [[] for _ in range(spaces)]
    for number in range(pages):
        site.tick(timedelta(hours=1))
        tree = trees[number % spaces]
        parent = tree[(len(tree) - 1) // 8] if tree else None
        page = site.page(f"SP{number % spaces}", _words(rng, 4), _body(rng), parent)
        tree.append(page.id)
        if number % 20 == 19:
            site.restrict(page.id, groups=("board",))
        if number % 50 == 49:
            site.comment(page.id, f"<p>{_words(rng, 20)}</p>")
            site.attach(page.id, f"notes {number}.txt", _words(rng, 60).encode(), "text/plain")
    site.tick(timedelta(days=1))
    return site


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count))


def _body(rng: random.Random) -> str:
    parts = [f"<h2>{_words(rng, 3)}</h2><p>{_words(rng, 40)}</p>" for _ in range(3)]
    rows = "".join(f"<tr><td>{_words(rng, 1)}</td><td>{_words(rng, 3)}</td></tr>" for _ in range(3))
    code = f"<ac:plain-text-body><![CDATA[{_words(rng, 8)}]]></ac:plain-text-body>"
    macro = f'<ac:structured-macro ac:name="code">{code}</ac:structured-macro>'
    return "".join([*parts, f"<table><tbody>{rows}</tbody></table>", macro])
