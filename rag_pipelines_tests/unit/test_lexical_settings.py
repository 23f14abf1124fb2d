"""The languages that an index reads its texts in, as they are configured."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rag_pipelines.config.settings import LexicalSettings


def test_every_configuration_is_named_once_and_the_usual_one_first() -> None:
    languages = {"de": "german", "gsw": "german", "en": "english", "el": "public.greek"}
    lexical = LexicalSettings(language="english", languages=languages)
    assert lexical.configurations == ["english", "german", "public.greek"]
    assert LexicalSettings().configurations == ["english"]


@pytest.mark.parametrize("code", ["german", "DE", "de-AT", ""])
def test_a_language_goes_by_its_iso_code(code: str) -> None:
    with pytest.raises(ValidationError, match="ISO 639"):
        LexicalSettings(languages={code: "german"})


@pytest.mark.parametrize("configuration", ["german; DROP TABLE x", "Ger man", ""])
def test_a_configuration_is_a_name(configuration: str) -> None:
    with pytest.raises(ValidationError, match="text search configuration"):
        LexicalSettings(languages={"de": configuration})
