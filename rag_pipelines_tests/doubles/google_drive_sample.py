"""An organisation's Drive of any size, always the same, for tests of whole syncs.

What belongs here: its content. What does not: how Drive behaves (`google_drive_state`).
"""

from __future__ import annotations

from rag_pipelines_tests.doubles.google_drive_items import Grant
from rag_pipelines_tests.doubles.google_drive_state import Workspace

ADMIN = "admin@example.com"


def sample_drive(files: int) -> Workspace:
    """A shared drive with two folders; every fifth file is in My Drive of Ann, who shares every tenth."""
    site = Workspace()
    ann, bob, _ = (site.person(f"{name}@example.com").email for name in ("ann", "bob", "cat"))
    site.person(ADMIN)
    site.group("team@example.com", ann, bob)
    drive = site.drive("Handbook", Grant("user", ADMIN, "organizer"), Grant("group", "team@example.com"))
    folders = [site.folder(drive.id, name) for name in ("HR", "IT")]
    mine = site.folder(site.roots[ann], "Notes", owner=ann)
    for number in range(files):
        name, text = f"case {number}.txt", f"What to do in case {number}. " * 20
        if number % 5:
            site.file(folders[number % 2].id, name, text)
        else:
            shared = [] if number % 10 else [Grant("user", bob)]
            site.file(mine.id, name, text, *shared, owner=ann)
    return site
