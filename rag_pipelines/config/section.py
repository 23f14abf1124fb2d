"""What every section of the configuration file is.

What belongs here: the strictness that all sections share. What does not: any section.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the file: keys that it does not know are refused, and nothing changes it.

    Pydantic holds the dataclasses of stages' parameters (`ParseOptions`, `ChunkOptions`) inside a section to
    the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
