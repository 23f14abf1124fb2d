"""Text in a passage that looks like instructions to a model: prompt injection, made visible.

What belongs here: a list of features that a person can read, their weights, and the spans they give.
What does not: deciding what to do about it; a marked passage stays, and its reader takes care.

Documents are full of instructions to people, so no feature is an imperative alone: each names what only
a model has (earlier instructions, a system prompt, a reply that it is writing, a role to play) or is text
that only a model reads (chat markup, invisible characters). A plain request hidden in a document ("What is
the capital of Brazil?") has nothing of this and is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from rag_pipelines.text.boundaries import BLANK_LINE, SENTENCE, strip

THRESHOLD = 0.5
"""Suspicion from which a sentence is marked."""


class Mark(msgspec.Struct, frozen=True):
    """A range of a passage's text (offsets in it, not in the document) that looks like an instruction.

    `suspicion` is in [THRESHOLD, 1]: how sure the features make together. It is no probability.
    """

    start: int
    end: int
    suspicion: float
    features: tuple[str, ...]


class Feature(NamedTuple):
    """What speaks for an instruction to a model, and how much, in (0, 1].

    A passage that has none of `words`, in lower case, cannot have it; that is quick to see.
    """

    name: str
    weight: float
    words: tuple[str, ...]
    pattern: re.Pattern[str]


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE | re.DOTALL)


_REPLY = r"(?:your|the|its)\s+(?:\w+\s+)?(?:responses?|reply|replies|answers?|outputs?|completions?)\b"
_SHAPE = (
    r"add|alter|append|avoid|begin|change|conclude|convert|embed|encode|end|finish|format|generate|give|group|"
    r"include|incorporate|inject|insert|integrate|introduce|jumble|misspell|mention|modify|obfuscate|omit|output|"
    r"present|print|promote|provide|rearrange|reformat|remove|repeat|rephrase|replace|respond|reverse|rewrite|"
    r"scramble|shuffle|spell|start|structure|substitute|suggest|swap|translate|use|write|weave|anagram"
)
_OPENING = r"(?:^|(?<=[\n;:,\"“(>*•|]))\s*(?:[-*•>\d.)]+\s+)?(?:please\s+|also,?\s+|then,?\s+|now,?\s+)?"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|original|initial|all|any|your|system|these|those|the)"
_ORDERS = (
    r"(?:instructions?|prompts?|directi(?:ves?|ons)|guidelines|rules|constraints|commands|context|messages?)"
)
_MODEL = (
    r"(?:ai|a\.i\.|llm|language\s+model|chat\s?gpt|gpt-?\d?\w*|chat\s?bot|(?:virtual|digital|ai)\s+assistant)"
)
_TO_PEOPLE = (
    r"after|all|and|any|appreciate|are|as|at|await\w*|but|by|can|check|choose|circle|click|compare|confirm|could|did|"
    r"do|does|each|e-?mail|enter|explain|fax|find|for|from|he|her|his|how|i|if|in|is|it|its|justify|look\w*|mail|"
    r"mark|may|my|no|not|of|on|once|one|or|our|please|post|prepare|record|return|review|save|see|select|send|she|"
    r"should|show|submit|support|thank\w*|that|the|their|there|these|they|this|to|type|upload|was|we|were|what|"
    r"when|where|which|while|who|why|will|with|would|you|your|\w+(?:ing|ed|ly)"
)
_LANGUAGE = (
    r"(?:english|french|german|spanish|italian|portuguese|dutch|russian|chinese|mandarin|japanese|korean|arabic|"
    r"hindi|latin|swedish|polish|turkish|greek)"
)
_INSIDE = r"(?:[^.!?\n]|\n(?!\s*[-*•\d])|\.(?=\w)|[.!?](?=[\"'”’])){0,140}?"

FEATURES = (
    Feature(
        "overrides earlier instructions",
        0.9,
        (
            "ignor",
            "disregard",
            "forget",
            "overrid",
            "bypass",
            "neglect",
            "discard",
            "vergiss",
            "missachte",
            "oubli",
            "olvida",
            "not follow",
        ),
        _pattern(
            r"\b(?:ignore|disregard|forget|override|bypass|neglect|discard)\b.{0,30}?"
            rf"\b{_EARLIER}\b.{{0,30}}?\b{_ORDERS}\b",
            rf"\bdo\s+not\s+follow\b.{{0,20}}?\b(?:previous|prior|above|earlier|system)\b.{{0,20}}?\b{_ORDERS}\b",
            r"\b(?:ignor\w+|vergiss|missachte)\b.{0,40}?\b(?:anweisungen|instruktionen|vorgaben)\b",
            r"\b(?:ignor\w+|oublie\w*)\b.{0,40}?\b(?:instructions|consignes)\s+(?:pr[ée]c[ée]dentes|ci-dessus)\b",
            r"\b(?:ignora|olvida)\b.{0,40}?\b(?:instrucciones|indicaciones)\b",
        ),
    ),
    Feature(
        "chat markup",
        0.8,
        ("<", "[", "system", "#"),
        _pattern(
            r"<\|\s*(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\s*\|>",
            r"\[/?INST\]|<</?SYS>>|</?(?:system|assistant)(?:_prompt|_message)?>",
            r"(?:^|\n)\s*#{2,}\s*(?:system|instruction|assistant|human)s?\s*:",
            r"(?:^|\n)\s*\[?(?:system|assistant)\s+(?:message|prompt|note|override)\]?\s*:",
            r"\b(?:begin|end|new)\s+(?:of\s+)?system\s+(?:prompt|message|instructions?)\b",
        ),
    ),
    Feature(
        "asks for the system prompt",
        0.85,
        ("prompt", "instruction", "message"),
        _pattern(
            r"\b(?:reveal|print|repeat|show|output|display|disclose|leak|tell\s+me|give\s+me|copy)\b.{0,25}?"
            r"\b(?:system|hidden|initial|secret)\s+(?:prompt|instructions?|message)\b",
        ),
    ),
    Feature(
        "gives the model a role",
        0.6,
        ("you are now", "from now on", "pretend", "imagin", " mode "),
        _pattern(
            r"\byou\s+are\s+now\s+(?:an?|the|in|my)\b(?!\s+(?:position|charge|default))",
            r"\bfrom\s+now\s+on,?\s+(?:you|respond|answer|reply|act|speak|always|only)\b",
            r"\b(?:pretend|imagine)\s+(?:that\s+)?(?:you\s+are|you're|to\s+be)\b",
            r"\b(?:developer|debug|god|dan|unrestricted|jailbreak)\s+mode\s+(?:enabled|activated|on)\b",
        ),
    ),
    Feature(
        "may give the model a role",
        0.35,
        ("act as", "behave as", "play as"),
        _pattern(rf"{_OPENING}(?:act|behave|role-?play)\s+as\s+(?:an?|the|if)\b"),
    ),
    Feature(
        "tells what to write in the reply",
        0.7,
        ("respon", "repl", "answer", "output", "completion"),
        _pattern(
            rf"(?:{_OPENING}|(?-i:(?<=\s)(?=[A-Z])))(?:{_SHAPE})\b{_INSIDE}\b{_REPLY}",
            rf"{_OPENING}(?!(?:{_TO_PEOPLE})\b)[a-z]{{2,}}\s{_INSIDE}"
            r"\b(?:in|into|within|throughout|to|from|of|with|across|inside)\s+your\s+(?:\w+\s+)?"
            r"(?:responses?|repl(?:y|ies)|answers?|outputs?)\b",
            rf"{_OPENING}(?!(?:{_TO_PEOPLE})\b)[a-z]{{2,}}\s+(?:\w+\s+){{0,3}}?your\s+(?:\w+\s+)?"
            r"(?:responses?|repl(?:y|ies)|answers?|outputs?)\s+\w",
            r"\b(?:in|within|throughout|at\s+the\s+(?:start|end|beginning)\s+of)\s+"
            rf"{_REPLY},?\s+(?:please\s+)?(?:{_SHAPE})\b",
            rf"{_OPENING}(?:respond|reply|answer)\s+(?:only|exclusively|solely|entirely|exactly|always)\s+"
            r"(?:in|with|using|by)\b",
            rf"\b{_REPLY}\s+(?:must|should|has\s+to|needs\s+to)\s+(?:only\s+|always\s+)?"
            r"(?:be\s+(?:in|encoded|written|formatted)|begin|start|end|contain|include|consist)\b",
        ),
    ),
    Feature(
        "orders a piece of writing",
        0.55,
        (
            "poe",
            "haiku",
            "limerick",
            "story",
            "essay",
            "song",
            "joke",
            "sonnet",
            "lyric",
            "dialogue",
            "riddle",
            "fable",
            "tale",
            "monologue",
            "screenplay",
            "rhyme",
        ),
        _pattern(
            rf"{_OPENING}(?:write|compose|draft|provide|create|generate|produce|develop|invent|craft|make\s+up|"
            r"come\s+up\s+with|give\s+me|tell\s+me)\s+(?:me\s+)?(?:an?|the)\s+(?:[\w-]+\s+){0,4}?"
            r"(?:poem|poetry|haiku|limerick|story|essay|song|joke|sonnet|lyrics|dialogue|riddle|fable|tale|"
            r"monologue|screenplay|rhyme)\b",
        ),
    ),
    Feature(
        "asks for a translation",
        0.55,
        ("translat", "in ", "equivalent"),
        _pattern(
            rf"{_OPENING}translate\s+(?:the\s+following|this|the\s+(?:word|phrase|sentence|text)\b|['\"“‘])",
            rf"\b(?:how\s+(?:do|would)\s+you\s+say|what\s+(?:is|does))\s.{{1,60}}?\b(?:mean\s+)?in\s+{_LANGUAGE}\b",
            rf"{_OPENING}(?:provide|give|what\s+is)\s.{{0,20}}?\b{_LANGUAGE}\s+(?:equivalent|translation|word)\b",
        ),
    ),
    Feature(
        "hides something from the reader",
        0.75,
        ("not ", "n't ", "never ", "without "),
        _pattern(
            r"\b(?:do\s+not|don't|never|without)\s+(?:tell|mention|inform|alert|let|reveal|disclos|notify)\w*\b"
            r".{0,30}?\b(?:the\s+user|the\s+human|this\s+(?:instruction|prompt|message)|these\s+instructions|"
            r"that\s+you\s+(?:are|were|have))\b",
        ),
    ),
    Feature(
        "sends data away",
        0.6,
        ("http", "@"),
        _pattern(
            r"\b(?:send|post|forward|e-?mail|upload|exfiltrate|transmit|append)\b.{0,60}?"
            r"\b(?:(?:the|this|our|whole|entire|full)\s+conversation|chat\s+history|system\s+prompt|"
            r"user'?s?\s+(?:data|name|e-?mail|messages?|question)|credentials|api\s+keys?)\b.{0,60}?"
            r"(?:https?://|\S@\S)",
            r"!\[[^\]]{0,200}\]\(https?://[^)\s?]{1,200}\?[^)\s]{0,200}?=(?:\{|\[|%7B)",
        ),
    ),
    Feature(
        "addresses a model",
        0.3,
        ("llm", "model", "gpt", "bot", "assistant", " ai", "a.i."),
        _pattern(
            r"\b(?:dear|hey|hello|attention|note\s+to|message\s+(?:to|for)|instructions?\s+(?:to|for))\s+"
            rf"(?:the\s+|any\s+|all\s+)?{_MODEL}\b",
            rf"\b(?:you\s+are|you're)\s+(?:an?\s+)?(?:\w+\s+){{0,2}}{_MODEL}\b",
        ),
    ),
    Feature(
        "stresses that it must be obeyed",
        0.25,
        ("important", "attention", "urgent", "critical", "warning", "priority", "override"),
        _pattern(
            r"\b(?:important|attention|urgent|critical|warning)\b\s*[:!]",
            r"\b(?:this\s+is\s+an?\s+(?:order|override)|top\s+priority|highest\s+priority)\b",
        ),
    ),
    Feature(
        "invisible characters",
        0.8,
        (),
        _pattern(r"[\U000E0020-\U000E007F]{2,}", r"[\u200b\u2060\u2063\u2064]{4,}"),
    ),
)
"""Weights of several combine as independent doubts: ``1 - (1 - a) * (1 - b)``."""


def marks(text: str) -> list[Mark]:
    """The sentences of `text` that look like instructions to a model, in order; neighbours are one mark."""
    lowered = text.lower()
    possible = [one for one in FEATURES if not one.words or any(word in lowered for word in one.words)]
    found: list[Mark] = []
    for start, end in _sentences(text):
        features = [feature for feature in possible if feature.pattern.search(text[start:end])]
        suspicion = combined(feature.weight for feature in features)
        if suspicion < THRESHOLD:
            continue
        names = tuple(feature.name for feature in features)
        if found and not text[found[-1].end : start].strip():
            last = found.pop()
            start, suspicion = last.start, max(last.suspicion, suspicion)
            names = tuple(dict.fromkeys((*last.features, *names)))
        found.append(Mark(start, end, round(suspicion, 3), names))
    return found


def combined(weights: Iterable[float]) -> float:
    """How much several features say together."""
    doubt = 1.0
    for weight in weights:
        doubt *= 1 - weight
    return 1 - doubt


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Ranges between blank lines and ends of sentences; a line end alone may be a wrapped line's.

    What goes on in lower case goes on with the sentence: a quoted one stands in it.
    """
    cuts = {match.end() for match in BLANK_LINE.finditer(text)}
    cuts |= {
        match.end() for match in SENTENCE.finditer(text) if not text[match.end() : match.end() + 1].islower()
    }
    at = 0
    for cut in (*sorted(cuts), len(text)):
        start, end = strip(text, at, cut)
        if start < end:
            yield start, end
        at = cut
