"""Whether what a configuration names is there: folders and files of this machine.

What belongs here: looking for them. What does not: opening them, and what lies behind an address
(`rag-pipelines source check` tries that). A place that is missing here may be there where the pipeline runs,
so none of this makes a configuration invalid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_pipelines.config.document import Path as Place

if TYPE_CHECKING:
    from rag_pipelines.config.settings import Settings


def missing_places(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Each place that is not there, by where the configuration names it."""
    for place, path in _places(settings):
        if os.path.isabs(path) and not os.path.exists(path):
            yield place, f"there is no {path} on this machine"


def _places(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What may be a local path; such are absolute once the configuration is read, addresses are not."""
    for name, source in settings.sources.items():
        for option in getattr(source.options, "must_exist", ()):
            if value := getattr(source.options, option):
                yield ("sources", name, "options", option), str(value)
    for name, index in settings.indexes.items():
        if index.golden is not None:
            yield ("indexes", name, "golden"), str(index.golden)
    oidc = settings.serving.oidc
    if oidc is not None and oidc.jwks is not None:
        yield ("serving", "oidc", "jwks"), oidc.jwks
