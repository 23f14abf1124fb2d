"""Pages of web and documentation sites as a source.

What belongs here: sitemaps, robots, links, what a page says about itself. What does not: turning a page into
blocks (`parsing.html`), HTTP itself (`http`). No scripts are run.
"""

from __future__ import annotations
