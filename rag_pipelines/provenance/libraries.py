"""Versions of the libraries that a stage imports.

What belongs here: from the name in an import to the installed distributions that decide what it does.
What does not: which libraries a stage imports (`package`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache

DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "bs4": ("beautifulsoup4", "lxml"),
    "docx": ("python-docx", "lxml"),
    "markdown_it": ("markdown-it-py",),
    "oxmsg": ("python-oxmsg",),
    "stdnum": ("python-stdnum",),
    "pptx": ("python-pptx", "lxml"),
    "unstructured": ("unstructured", "python-docx", "python-pptx", "beautifulsoup4", "lxml"),
    "yaml": ("pyyaml",),
}
"""What stands behind an import whose distribution is called otherwise, or that has another do the work."""

WITHOUT_SAY: Mapping[str, str] = {
    "backports": "it unpacks what was packed, as any version of it does",
    "msgspec": "it holds values and writes them in a fixed form",
    "numpy": "it adds and sorts numbers, as any version of it does",
    "py7zr": "it unpacks what was packed, as any version of it does",
}
"""Libraries that cannot change what a stage gives out, with the reason."""

_INSTALLED = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-.*)?\.(?:dist|egg)-info")


def versions(imports: Iterable[str]) -> dict[str, str | None]:
    """The versions of what stands behind some imports, by distribution; None for what is not installed."""
    names = {
        name
        for one in imports
        if one not in WITHOUT_SAY
        for name in DISTRIBUTIONS.get(one, (one.replace("_", "-").lower(),))
    }
    return {name: _version(name) for name in sorted(names)}


@cache
def _version(name: str) -> str | None:
    return _installed_versions().get(name) or _declared_version(name)


@cache
def _installed_versions() -> dict[str, str]:
    """Versions by name, from the names of their metadata; reading each file would take 20 times as long."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for match in filter(None, map(_INSTALLED.fullmatch, names)):
            found.setdefault(re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"])
    return found


def _declared_version(name: str) -> str | None:
    """The version of what is installed in another way than as a folder on the path."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
