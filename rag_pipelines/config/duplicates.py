"""The settings of copies: whether they are looked for, and what searches of an index do about them.

What belongs here: fields, defaults and bounds of `duplicates`. What does not: how alike two texts are
(`text.sketch`), and what a search does (`query.duplicates`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from rag_pipelines.config.section import Section

LEAST = 0.75
"""The least similarity that may be asked for: those of less are not looked up when they are stored."""


class DuplicateSettings(Section):
    """Documents of the index's sources that are copies of each other, in whatever format, or nearly so.

    They are copies from a `similarity` on: the share of three words in a row that both have, of those that
    one of them has. The `policy` alone may be written in place of the section:

    - `keep`: searches give all; copies are found for the report (`rag-pipelines knowledge report`);
    - `prefer`: of copies that a search finds, the one of the source that stands first in the index's
      `sources` stays, and of those of one source the newest;
    - `one_hit`: the one that fits the question best stays.

    Only what the caller may see, and what passes the filters, counts as a copy.
    """

    policy: Literal["keep", "prefer", "one_hit"] = "keep"
    similarity: float = Field(default=0.85, ge=LEAST, le=1)

    @model_validator(mode="before")
    @classmethod
    def _from_policy(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value
