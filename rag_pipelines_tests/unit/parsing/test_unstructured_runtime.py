"""unstructured must run without a network, without installing anything, and without torch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import urllib.request

import docx
import pptx
import pytest

from rag_pipelines.parsing.unstructured import runtime
from rag_pipelines_tests.unit.parsing.office import saved

pytest.importorskip("unstructured", reason="needs the extra unstructured")

OPT_OUTS = ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS", "UNSTRUCTURED_DISABLE_NOTICE")
PROSE = "The committee has decided that every request must be answered within two days.\n\n- one\n- two"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"something reached for the network or for pip: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)


def a_presentation() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Leave"
    slide.placeholders[1].text = "We are going to change how leave is requested in the coming year."
    return saved(deck.save)


@pytest.mark.usefixtures("no_network")
def test_every_partitioner_classifies_text_without_a_network() -> None:
    word = docx.Document()
    word.add_paragraph(PROSE)
    for elements in (
        runtime.partition_docx(saved(word.save)),
        runtime.partition_html(f"<p>{PROSE}</p>"),
        runtime.partition_pptx(a_presentation()),
    ):
        assert any(element.category == "NarrativeText" for element in elements)


def test_a_fresh_process_imports_no_model_library_and_opens_no_connection() -> None:
    """The audit hook sees every socket and process, also those of libraries that hide their errors."""
    script = f"""
        import sys

        def watch(event, arguments):
            if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
                print("FORBIDDEN", event, arguments)

        sys.addaudithook(watch)
        from rag_pipelines.parsing.unstructured import runtime

        elements = runtime.partition_html({f"<p>{PROSE}</p>"!r})
        print("ELEMENTS", len(elements) + len(runtime.partition_pptx({a_presentation()!r})))
        print("HEAVY", sorted({{"spacy", "thinc", "torch", "nltk", "pandas"}} & set(sys.modules)))
        print("WORDS", len(sys.modules["unstructured.nlp.english_words"].ENGLISH_WORDS))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={name: value for name, value in os.environ.items() if name not in OPT_OUTS},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split("\n")[:3] == ["ELEMENTS 3", "HEAVY []", "WORDS 0"]
    assert "unstructured" not in done.stderr.lower()


def test_the_module_that_downloads_is_replaced_by_one_with_the_same_functions() -> None:
    runtime._load()
    from unstructured.nlp import tokenize
    from unstructured.partition import text_type

    assert not hasattr(tokenize, "_install_spacy_model")
    for name in ("pos_tag", "sent_tokenize", "word_tokenize"):
        assert getattr(text_type, name) is getattr(tokenize, name)


def test_prose_is_told_from_a_title() -> None:
    runtime._load()
    from unstructured.partition.text_type import is_possible_narrative_text, is_possible_title

    assert is_possible_narrative_text("The office was closed because the heating had failed.")
    assert not is_possible_narrative_text("Annual Leave Policy")
    assert is_possible_title("Annual Leave Policy")
    assert not is_possible_title(
        "We met on Monday to talk about it. Then we agreed on the next steps to be taken."
    )
