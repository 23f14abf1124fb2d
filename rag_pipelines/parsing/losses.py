"""What a document shows and its parsed text does not hold, by kind.

What belongs here: the closed list of losses and of what is left out on purpose. What does not: finding them
(each parser), comparing words (`account`), reading a file a second time (`witness`), judging a source by them
(`quality`).

Every kind is a counter of the parsed document under its own name, so that it is kept with the parse and can
be summed over a source.
"""

from __future__ import annotations

from enum import StrEnum


class Loss(StrEnum):
    """What a reader sees and a search cannot find. The value is the name of the counter."""

    WORDS = "words_missing"
    CHARACTERS = "characters_without_text"
    IMAGES = "images_without_text"
    PARTS = "parts_not_read"
    ATTACHMENTS = "attachments_not_read"
    FORMULAS = "formulas_without_value"
    VALUES = "values_not_read"


class LeftOut(StrEnum):
    """What is in the file and left out on purpose, in words. The value is the name of the counter."""

    HIDDEN = "hidden_words"
    CONTENTS = "contents_words"
    BOILERPLATE = "boilerplate_words"
    ALTERNATIVE = "alternative_words"


WORDS_SEEN = "words_seen"
"""The counter of the words that a parser was held to account for (`DocumentBuilder.account_for`)."""
