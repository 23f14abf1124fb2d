"""The one door to the `unstructured` library: made offline, silent and lean before anything is imported.

What belongs here: preparing the library, and the partitioners that we take from it. What does not: the
mapping of its elements to blocks (`parse`), and any other import of unstructured in this project.

Left alone, unstructured 0.27 does three things a document parser must not do. At the first text it
classifies it downloads a spaCy model from GitHub and installs it into site-packages; it reports its
use to a server; and it prints an advertisement. The last two are switched off by the variables below.
For the first, everything that touches spaCy sits in `unstructured.nlp.tokenize`, from which the
library takes three functions. `_load` puts a module of our own in its place before it is ever imported,
so the code that downloads does not exist in the process. This also keeps spaCy, thinc and torch out;
and a second module, a list of English words for a check that is off, is replaced by an empty one.
Importing the partitioners then takes 0.4 s and 65 MB instead of 1.9 s and 350 MB, and what is parsed
does not depend on which models happen to be installed.

The three functions only decide whether a text is called a title or a narrative.
"""

from __future__ import annotations

import io
import os
import re
import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unstructured.documents.elements import Element


MISSING = (
    "the engine 'unstructured' needs a package that is not installed; "
    "pip install 'rag-pipelines[unstructured]', or choose the engine 'native'"
)

_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    "UNSTRUCTURED_DISABLE_NOTICE": "1",
    "UNSTRUCTURED_LANGUAGE_CHECKS": "false",
}
_NO_LANGUAGE_DETECTION = [""]

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W\d_a-z])")
_AUXILIARY = re.compile(
    r"(?:am|is|are|was|were|be|been|do|does|did|ha[sd]|have|will|would|shall|should|"
    r"can|could|may|might|must)(?:n['’]t)?"
)
_VERB_ENDING = re.compile(r"\w{2,}(?:ed|ing|ize[sd]?|ise[sd]?|ify|ifies)")


def partition_docx(data: bytes) -> list[Element]:
    """The elements of a Word document; `metadata.page_number` where it tells its page breaks."""
    _load()
    from unstructured.partition.docx import partition_docx

    return partition_docx(file=io.BytesIO(data), infer_table_structure=True, languages=_NO_LANGUAGE_DETECTION)


def partition_html(text: str) -> list[Element]:
    """The elements of a page of HTML, its tables with their cells."""
    _load()
    from unstructured.partition.html import partition_html

    return partition_html(text=text, languages=_NO_LANGUAGE_DETECTION)


def partition_pptx(data: bytes) -> list[Element]:
    """The elements of a presentation in slide order, with notes; `metadata.page_number` is the slide."""
    _load()
    from unstructured.partition.pptx import partition_pptx

    return partition_pptx(
        file=io.BytesIO(data),
        include_page_breaks=False,
        include_slide_notes=True,
        infer_table_structure=True,
        languages=_NO_LANGUAGE_DETECTION,
    )


@lru_cache(maxsize=1)
def _load() -> None:
    """Prepare the process for unstructured; idempotent.

    Also right when something else imported unstructured first: its classifier then gets our three
    functions in the place of those it bound on import.
    """
    os.environ.update(_SETTINGS)
    functions = {"pos_tag": _pos_tag, "sent_tokenize": _sent_tokenize, "word_tokenize": _word_tokenize}
    tokenizer = _put_in_place("unstructured.nlp.tokenize", **functions)
    _put_in_place("unstructured.nlp.english_words", ENGLISH_WORDS=frozenset())
    import unstructured.nlp
    from unstructured.partition import text_type

    unstructured.nlp.tokenize = tokenizer
    for name, function in functions.items():
        setattr(text_type, name, function)


def _put_in_place(name: str, **contents: object) -> ModuleType:
    """Make `name` a module of these contents, for whoever imports it from now on."""
    module = ModuleType(name)
    module.__dict__.update(contents)
    sys.modules[name] = module
    return module


def _word_tokenize(text: str) -> list[str]:
    return _WORD.findall(text)


def _sent_tokenize(text: str) -> list[str]:
    return _SENTENCE_END.split(text)


def _pos_tag(text: str) -> list[tuple[str, str]]:
    """Words with Penn Treebank tags, of which unstructured asks only whether any is a verb (VB)."""

    def tag(word: str) -> str:
        word = word.lower()
        return "VB" if _AUXILIARY.fullmatch(word) or _VERB_ENDING.fullmatch(word) else "NN"

    return [(word, tag(word)) for word in _word_tokenize(text)]
