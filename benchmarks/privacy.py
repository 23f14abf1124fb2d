"""What personal data is found beside what Presidio finds by default, and how quickly.

What belongs here: right, wrong and missed places and F1 by kind, on the open sentences of presidio-research,
on its templates filled with values of our own, and on sentences with numbers that are none; speed. What does
not: what the stage costs an ingest (`ingest --privacy`).

A finding is right where it overlaps a labelled place of its kind. Presidio runs with the recognisers that it
has by default for English, with a spaCy model where one is given, else without; for each kind the better of
its scores from 0 on and from 0.5 on is printed. Its download of a list of suffixes is left out.

    python benchmarks/privacy.py [--data FOLDER] [--model FOLDER] [--seed 7]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from history import Figures
from rich.console import Console
from rich.table import Table
from stdnum import iban, luhn, verhoeff
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.nl import bsn
from stdnum.pl import pesel

from rag_pipelines.privacy.find import finder_of
from rag_pipelines.privacy.kinds import Kind
from rag_pipelines.privacy.presidio import KINDS
from rag_pipelines.privacy.profile import PrivacyProfile

FIGURES = Figures("privacy")

LABELS = {
    "PHONE_NUMBER": Kind.PHONE,
    "CREDIT_CARD": Kind.CARD,
    "US_SSN": Kind.US_SSN,
    "IP_ADDRESS": Kind.IP_ADDRESS,
    "EMAIL_ADDRESS": Kind.EMAIL,
    "IBAN_CODE": Kind.IBAN,
}
CHECKSUMMED = (
    Kind.CARD, Kind.IBAN, Kind.US_SSN, Kind.UK_NINO, Kind.DE_TAX_ID, Kind.FR_NIR, Kind.ES_DNI, Kind.NL_BSN,
    Kind.PL_PESEL, Kind.IN_AADHAAR, Kind.BR_CPF,
)  # fmt: skip

Span = tuple[Kind, int, int]
Find = Callable[[str], Iterable[tuple[Kind, int, int, float]]]


class Sentence(NamedTuple):
    """A text with its labelled places."""

    text: str
    spans: list[Span]


def open_sentences(folder: Path) -> list[Sentence]:
    """The labelled sentences of presidio-research, with the kinds that rules can find."""
    read = json.loads((folder / "generated_small.json").read_text(encoding="utf-8"))
    return [
        Sentence(
            one["full_text"],
            [
                (LABELS[span["entity_type"]], span["start_position"], span["end_position"])
                for span in one["spans"]
                if span["entity_type"] in LABELS
            ],
        )
        for one in read
    ]


def _digits(rng: random.Random, count: int, first: str = "") -> str:
    return first + "".join(rng.choices("0123456789", k=count - len(first)))


def _card(rng: random.Random) -> str:
    body = _digits(rng, 15, rng.choice(["4", "51", "55", "2221"]))
    number = body + luhn.calc_check_digit(body)
    return rng.choice([number, " ".join(re.findall("....", number)), "-".join(re.findall("....", number))])


def _iban(rng: random.Random) -> str:
    country, length = rng.choice([("DE", 18), ("NL", 0), ("GB", 1)])
    if country == "DE":
        body = _digits(rng, length)
    else:
        body = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4)) + _digits(
            rng, 10 if country == "NL" else 14
        )
    number = country + iban.calc_check_digits(f"{country}00{body}") + body
    return rng.choice([number, " ".join(re.findall(".{1,4}", number))])


def _right(make: Callable[[], str], is_right: Callable[[str], bool]) -> str:
    while not is_right(number := make()):
        pass
    return number


def _pesel(rng: random.Random) -> str:
    body = f"{rng.randint(50, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{_digits(rng, 4)}"
    return body + pesel.calc_check_digit(body)


def _nir(rng: random.Random) -> str:
    body = f"{rng.choice('12')}{rng.randint(50, 99)}{rng.randint(1, 12):02}75{_digits(rng, 6)}"
    return body + nir.calc_check_digits(body)


def _dni(rng: random.Random) -> str:
    body = _digits(rng, 8)
    return body + dni.calc_check_digit(body)


def _nino(rng: random.Random) -> str:
    return " ".join(["".join(rng.choices("ABCEHJ", k=2)), *(_digits(rng, 2) for _ in range(3)), "A"])


def _aadhaar(rng: random.Random) -> str:
    body = _digits(rng, 11, rng.choice("23456789"))
    return " ".join(re.findall("....", body + verhoeff.calc_check_digit(body)))


MADE: dict[Kind, Callable[[random.Random], str]] = {
    Kind.CARD: _card,
    Kind.IBAN: _iban,
    Kind.EMAIL: lambda rng: f"bo.lee{rng.randint(1, 99)}@{rng.choice(['acme.org', 'mail.co.uk'])}",
    Kind.IP_ADDRESS: lambda rng: ".".join(str(rng.randint(11, 99)) for _ in range(4)),
    Kind.PHONE: lambda rng: rng.choice(
        [
            f"+49 30 {_digits(rng, 8)}", f"(212) 5{_digits(rng, 2)}-{_digits(rng, 4)}",
            f"+1-212-5{_digits(rng, 2)}-{_digits(rng, 4)}", f"020 7{_digits(rng, 3)} {_digits(rng, 4)}",
        ]
    ),
    Kind.US_SSN: lambda rng: f"{rng.randint(1, 665):03}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
    Kind.DE_TAX_ID: lambda rng: _right(lambda: _digits(rng, 11, rng.choice("123456789")), idnr.is_valid),
    Kind.FR_NIR: _nir,
    Kind.ES_DNI: _dni,
    Kind.UK_NINO: _nino,
    Kind.NL_BSN: lambda rng: _right(lambda: _digits(rng, 9, rng.choice("123456789")), bsn.is_valid),
    Kind.PL_PESEL: _pesel,
    Kind.IN_AADHAAR: _aadhaar,
    Kind.BR_CPF: lambda rng: cpf.format((body := _digits(rng, 9)) + cpf._calc_check_digits(body)),
}  # fmt: skip

FILLED = {
    "phone_number": Kind.PHONE, "credit_card_number": Kind.CARD, "iban": Kind.IBAN,
    "ip_address": Kind.IP_ADDRESS, "email": Kind.EMAIL, "ssn": Kind.US_SSN,
}  # fmt: skip

NATIONAL = {
    Kind.DE_TAX_ID: "Ihre Steuer-ID ist {}, bitte nennen.", Kind.FR_NIR: "Assurée sous le {} depuis mai.",
    Kind.ES_DNI: "Firma con DNI {} en Madrid.", Kind.UK_NINO: "His National Insurance number is {}.",
    Kind.NL_BSN: "Het BSN van de klant is {}.", Kind.PL_PESEL: "Numer PESEL {} podano.",
    Kind.IN_AADHAAR: "Her Aadhaar {} was checked.", Kind.BR_CPF: "O CPF do cliente, {}, consta.",
    Kind.IBAN: "Please pay to {} by Friday.", Kind.CARD: "He paid by card {} at noon.",
    Kind.US_SSN: "The SSN {} is on file.",
}  # fmt: skip


def _wrong_digit(rng: random.Random, kind: Kind) -> str:
    value = MADE[kind](rng)
    at = max(at for at, sign in enumerate(value) if sign.isdigit())
    return f"{value[:at]}{(int(value[at]) + rng.randint(1, 9)) % 10}{value[at + 1 :]}"


NOTHING: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: f"Account form {_wrong_digit(rng, Kind.IBAN)} was refused.",
    lambda rng: f"Card form {_wrong_digit(rng, Kind.CARD)} was refused.",
    lambda rng: f"Bin {rng.randint(900, 999)}-{rng.randint(10, 99)}-{_digits(rng, 4)} is empty.",
    lambda rng: f"Order {_digits(rng, 16, '9')} was shipped in {rng.randint(1990, 2030)}.",
    lambda rng: f"Invoice {_digits(rng, 9)} over {rng.randint(10, 99)}.{_digits(rng, 3)},00 EUR.",
    lambda rng: f"Part {_digits(rng, 11)} fits release 4.2.{rng.randint(0, 9)}.{rng.randint(0, 9)}.",
    lambda rng: f"From {rng.randint(10, 28)}-11-2024 to 2025-0{rng.randint(1, 9)}-11, build v10.4.0.3.",
    lambda rng: f"Tracking {_digits(rng, 12)}, serial {_digits(rng, 8)}Q, host 10.0.0.{rng.randint(1, 9)}.",
    lambda rng: f"ISBN 978-3-{_digits(rng, 4)}-{_digits(rng, 4)}-{_digits(rng, 1)}, shelf {_digits(rng, 4)}.",
    lambda rng: f"Commit {rng.getrandbits(160):040x} took {_digits(rng, 7)} bytes.",
    lambda rng: f"Case 2024-{_digits(rng, 6)} of {rng.randint(2, 9)}.{_digits(rng, 3)}.{_digits(rng, 3)}.",
)  # fmt: skip
"""Sentences with numbers that are nobody's."""


def made_sentences(folder: Path, seed: int) -> list[Sentence]:
    """The templates of presidio-research with values of our own, sentences with national numbers, and others
    with numbers that are none."""
    rng = random.Random(seed)
    templates = [
        line for line in (folder / "templates.txt").read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    made = [_fill(template.replace("\\n", "\n"), rng) for template in templates for _ in range(3)]
    for kind, template in NATIONAL.items():
        for _ in range(40):
            value, at = MADE[kind](rng), template.index("{}")
            made.append(Sentence(template.format(value), [(kind, at, at + len(value))]))
    made += [Sentence(make(rng), []) for make in NOTHING for _ in range(60)]
    return made


def _fill(template: str, rng: random.Random) -> Sentence:
    text, spans, at = "", [], 0
    for found in re.finditer(r"\{\{(\w+)\}\}", template):
        text += template[at : found.start()]
        at = found.end()
        kind = FILLED.get(found[1])
        if kind is None:
            text += (
                str(rng.randint(1, 99999))
                if found[1] in ("postcode", "zipcode", "building_number")
                else "Anna Berg"
            )
        else:
            value = MADE[kind](rng)
            spans.append((kind, len(text), len(text) + len(value)))
            text += value
    return Sentence(text + template[at:], spans)


class Score(NamedTuple):
    """Counts of one kind."""

    right: int
    wrong: int
    missed: int

    @property
    def f1(self) -> float:
        """2 right / (2 right + wrong + missed); 0 where there is none of any."""
        total = 2 * self.right + self.wrong + self.missed
        return 2 * self.right / total if total else 0.0


def judge(sentences: Sequence[Sentence], find: Find, least: float = 0.0) -> dict[Kind, Score]:
    """How the findings from the score `least` on fit the labels, by kind."""
    right: Counter[Kind] = Counter()
    wrong: Counter[Kind] = Counter()
    missed: Counter[Kind] = Counter()
    for text, spans in sentences:
        found = [one for one in find(text) if one[3] >= least]
        for kind, start, end, _ in found:
            if any(kind == other and start < b and a < end for other, a, b in spans):
                right[kind] += 1
            else:
                wrong[kind] += 1
        for kind, a, b in spans:
            if not any(kind == other and start < b and a < end for other, start, end, _ in found):
                missed[kind] += 1
    return {kind: Score(right[kind], wrong[kind], missed[kind]) for kind in Kind}


def presidio_defaults(model: Path | None) -> Find:
    """Presidio with every recogniser that it has for English."""
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

    class Engine(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__()
            self.nlp: Any = {"en": spacy.load(model) if model else spacy.blank("en")}

    analyzer = AnalyzerEngine(nlp_engine=Engine(), supported_languages=["en"])
    known = {**KINDS, **LABELS}

    def find(text: str) -> Iterable[tuple[Kind, int, int, float]]:
        for one in analyzer.analyze(text, language="en"):
            if one.entity_type in known:
                yield known[one.entity_type], one.start, one.end, one.score

    return find


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", ".")) / "presidio-pii"
    )
    parser.add_argument("--model", type=Path, help="a folder with a spaCy model, for Presidio")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    console = Console()
    finder = finder_of(PrivacyProfile())
    find: Find = lambda text: ((one.kind, one.start, one.end, one.score) for one in finder.find(text))  # noqa: E731
    other = presidio_defaults(options.model)
    sets = {
        "open sentences": open_sentences(options.data),
        "filled templates, national numbers, and numbers that are none": made_sentences(
            options.data, options.seed
        ),
    }
    for title, sentences in sets.items():
        ours = judge(sentences, find)
        theirs: dict[Kind, Score] = defaultdict(lambda: Score(0, 0, 0))
        for least in (0.0, 0.5):
            for kind, score in judge(sentences, other, least).items():
                theirs[kind] = max(theirs[kind], score, key=lambda one: one.f1)
        console.print(_table(title, sentences, ours, theirs))
        for kind in Kind:
            if ours[kind].right + ours[kind].missed:
                FIGURES.ratio(f"F1 of {kind}, {title}", ours[kind].f1)
                FIGURES.ratio(f"F1 of {kind} beside Presidio, {title}", ours[kind].f1 - theirs[kind].f1)
    text = "\n\n".join(one.text for one in sets["open sentences"] for _ in range(20))
    prose = (Path(__file__).parent.parent / "docs" / "explanation" / "design.md").read_text(encoding="utf-8")
    for name, sample, rounds in (("open sentences", text, 3), ("prose without any", prose * 30, 1)):
        seconds = min(_seconds(find, sample) for _ in range(3))
        slow = sample[: 60_000 // rounds]
        presidio = _seconds(other, slow)
        FIGURES.ratio(f"speed beside Presidio, {name}", (len(sample) / seconds) / (len(slow) / presidio))
        console.print(
            f"{name}: {len(sample) / seconds / 1e6:.2f} MB a second of a processor; "
            f"Presidio {len(slow) / presidio / 1e6:.3f}"
        )
    FIGURES.record(seed=options.seed, model=options.model)


def _seconds(find: Find, text: str) -> float:
    began = time.process_time()
    list(find(text))
    return time.process_time() - began


def _table(
    title: str, sentences: Sequence[Sentence], ours: dict[Kind, Score], theirs: dict[Kind, Score]
) -> Table:
    table = Table(title=f"{title}: {len(sentences):,} sentences")
    for column in (
        "kind",
        "labelled",
        "right",
        "wrong",
        "missed",
        "F1",
        "Presidio right",
        "wrong",
        "missed",
        "F1",
    ):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind in Kind:
        own, other = ours[kind], theirs[kind]
        if own.right + own.missed or own.wrong:
            table.add_row(
                f"{kind}{' ✓' if kind in CHECKSUMMED else ''}", str(own.right + own.missed),
                *map(str, own), f"{own.f1:.3f}", *map(str, other), f"{other.f1:.3f}",
            )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
