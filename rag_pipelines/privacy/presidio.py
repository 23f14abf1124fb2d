"""Presidio as a second engine: names and places by a spaCy model, and the forms that its recognisers know.

What belongs here: keeping it to this machine. What does not: forms of our own (`patterns`).

Its recognisers of e-mail addresses and of addresses of pages ask tldextract, which downloads the list of
public suffixes when it is first asked; they are left out, because `patterns` finds the former. Without a
model spaCy only cuts text into words, and no name is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_pipelines.errors import UsageError
from rag_pipelines.privacy.kinds import NAMES, Finding, Kind

KINDS = {
    "CREDIT_CARD": Kind.CARD,
    "IBAN_CODE": Kind.IBAN,
    "IP_ADDRESS": Kind.IP_ADDRESS,
    "US_SSN": Kind.US_SSN,
    "UK_NINO": Kind.UK_NINO,
    "ES_NIF": Kind.ES_DNI,
    "ES_NIE": Kind.ES_DNI,
    "IT_FISCAL_CODE": Kind.IT_FISCAL_CODE,
    "PL_PESEL": Kind.PL_PESEL,
    "IN_AADHAAR": Kind.IN_AADHAAR,
    "PERSON": Kind.PERSON,
    "LOCATION": Kind.LOCATION,
}
"""Its entities in our words; phone numbers are better told by `patterns`."""

_DOWNLOADING = frozenset({"EmailRecognizer", "UrlRecognizer"})
_LONGEST = 900_000
"""Characters that spaCy takes at once; its own limit is a million."""


class Presidio:
    """An analyser of English text. Raises `UsageError`: the model is not there."""

    def __init__(self, model: str | None) -> None:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

        class LoadedEngine(SpacyNlpEngine):
            """Does not look for a model, nor download one."""

            def __init__(self) -> None:
                super().__init__(ner_model_configuration=NerModelConfiguration(labels_to_ignore=["O"]))
                self.nlp: Any = {"en": _load(model)}

        registry = RecognizerRegistry()
        registry.load_predefined_recognizers(languages=["en"])
        registry.recognizers = [one for one in registry.recognizers if type(one).__name__ not in _DOWNLOADING]
        self._analyzer = AnalyzerEngine(
            registry=registry, nlp_engine=LoadedEngine(), supported_languages=["en"]
        )
        self._model = model

    def find(self, text: str, kinds: frozenset[Kind]) -> Iterator[Finding]:
        """What it sees of `kinds`, with its own scores."""
        wanted = kinds if self._model else kinds - NAMES
        entities = [name for name, kind in KINDS.items() if kind in wanted]
        for at in range(0, len(text), _LONGEST):
            part = text[at : at + _LONGEST]
            for one in self._analyzer.analyze(part, language="en", entities=entities) if entities else ():
                yield Finding(KINDS[one.entity_type], at + one.start, at + one.end, one.score)


def _load(model: str | None) -> Any:
    import spacy

    if model is None:
        return spacy.blank("en")
    try:
        return spacy.load(Path(model) if Path(model).is_dir() else model)
    except OSError as error:
        raise UsageError(
            f"the spaCy model {model!r} of a privacy profile is neither an installed package nor a folder; "
            "nothing is downloaded"
        ) from error
