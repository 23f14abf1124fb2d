"""What screened documents are known by: the fingerprint of whatever finds and masks.

What belongs here: which code and which options a profile consists of. What does not: how code becomes a
digest (`provenance`), and screening.
"""

from __future__ import annotations

import msgspec

from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.privacy.profile import PrivacyProfile
from rag_pipelines.provenance import libraries
from rag_pipelines.provenance.stages import StageCode, made_by

_ROOM = __name__.rpartition(".")[0]


def privacy_fingerprint(profile: PrivacyProfile) -> str:
    """What screening depends on beside the blocks: code, libraries, every parameter of `profile`."""
    modules = ("screen", "presidio") if profile.engine == "presidio" else ("screen",)
    made = made_by(StageCode(f"privacy:{profile.engine}", tuple(f"{_ROOM}.{name}" for name in modules)))
    model = libraries.versions([profile.model]) if profile.model else {}
    return fingerprint([made.code, dict(made.libraries), dict(model), msgspec.to_builtins(profile)])
