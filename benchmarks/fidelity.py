"""What a reader sees of a document against what our parsers, and others, make of it.

What belongs here: the command line and the printed tables. What does not: references, readers and figures
(the package `fidelity` beside this file).

The reference of an office document is what LibreOffice puts on its pages, told apart by what it stores; of a
PDF what PDFium and Poppler both see on its pages; of HTML, a book or a mail what Chromium shows with scripts
off. Our parsers read whole pages here (``html_main_content=False``). Figures are described in
`fidelity.scoring`. Words that a reference asks for wrongly stand in ``fidelity/exceptions.yaml`` with the
reason; pages whose order was judged by eye, for all engines alike, in ``fidelity/reading_order.yaml``; why
the worst files read as they do in ``fidelity/explained.yaml``.

Needs ``soffice`` with Writer, Calc, Impress and Math, ``chromium``, ``chromedriver`` and ``pdftotext``.
References and what engines made are kept under ``RAG_FIDELITY_CACHE``, ours until a line of our parsers
changes. Peers are installed by ``fidelity/setup_peers.sh`` under ``RAG_PEERS_HOME``.

    python benchmarks/fidelity.py [--formats docx,pdf] [--no-peers] [--worst 20] [--sample 50]
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fidelity import office, readers, reading_order
from fidelity.browser import Browser
from fidelity.corpus import DATA, SUFFIXES, File, files
from fidelity.exceptions import excepted, judged
from fidelity.explained import losses, reasons
from fidelity.references import NoReference, reference
from fidelity.scoring import Reference, Score, score
from history import Figures

FIGURES = Figures("fidelity")

SAMPLE = 20
LEAST = 0.9
"""Of the words or numbers of a file; one with less has to count a loss, or to be explained."""
KINDS = 6
LONGEST = 30
"""How many words, kinds, and letters of a word are shown."""


def referenced(listed: Sequence[File]) -> tuple[dict[File, Reference], dict[File, str]]:
    """The reference of each file, and why some have none."""
    office.convert(listed)
    exemptions = judged()
    by_eye = reading_order.judged()
    found: dict[File, Reference] = {}
    without: dict[File, str] = {}
    with Browser() as browser:
        for number, file in enumerate(listed):
            if number % 100 == 0:
                print(f"references: {number} of {len(listed)}", file=sys.stderr, flush=True)
            try:
                shown = excepted(reference(file, browser), file.label, exemptions)
                found[file] = replace(shown, threads=by_eye.get(file.label, []))
            except NoReference as error:
                without[file] = str(error)
    return found, without


def scores(answers: Iterable[tuple[File, readers.Answer]], known: dict[File, Reference]) -> dict[File, Score]:
    return {file: score(known[file], answer.text, answer.seconds) for file, answer in answers}


def sums(scored: dict[File, Score]) -> dict[str, Score]:
    """By format, in the order of `SUFFIXES`."""
    summed: dict[str, Score] = defaultdict(Score)
    for file, one in scored.items():
        summed[file.format].add(one)
    return {name: summed[name] for name in SUFFIXES if name in summed}


def show_sums(engines: dict[str, dict[str, Score]]) -> None:
    """A line for each format and engine, ours first: recall of all words pooled, then means over files."""
    heads = ("words", *Score().figures)
    print(f"{'format':7}{'engine':13}{'files':>6}{'unread':>7}{'whole':>6}", end="")
    print(*(f"{name:>10}" for name in heads), f"{'ms/file':>8}")
    for format_ in SUFFIXES:
        for engine, summed in engines.items():
            if (one := summed.get(format_)) is None:
                continue
            shares = [one.recall, *one.means.values()]
            print(f"{format_:7}{engine:13}{one.files:6}{one.unread:7}{one.whole:6}", end="")
            print(*(f"{'-' if share is None else f'{share:.4f}':>10}" for share in shares), end="")
            print(f"{1000 * one.seconds / one.files:9.1f}")


def show_lost(summed: dict[str, Score]) -> None:
    """Which kinds of content the words that we miss stand in."""
    print("\nwords missing by what holds them")
    for name, one in summed.items():
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in one.lost.most_common(KINDS))
        print(f"  {name:6}{one.words - one.found:7,} of {one.words:,}: {kinds or '-'}")


def show_worst(
    scored: dict[File, Score], known: dict[File, Reference], errors: dict[File, str], count: int
) -> None:
    """The files of each format with most words missing, with some of the words in reading order."""
    for name in SUFFIXES:
        of_format = [(file, one) for file, one in scored.items() if file.format == name]
        lacking = sorted(
            (entry for entry in of_format if entry[1].missing),
            key=lambda entry: (entry[1].recall or 0.0, -entry[1].missing.total()),
        )
        if lacking:
            print(f"\nworst of {name}")
        for file, one in lacking[:count]:
            kinds = ", ".join(f"{kind} {number}" for kind, number in one.lost.most_common(KINDS))
            print(f"  {one.recall:.4f} {file.label}: {one.missing.total()} of {one.words} words; {kinds}")
            if file in errors:
                print(f"         not read: {errors[file][:150]}")
            print(f"         {' '.join(_sample(one.missing, known[file].sequence))}")
        _show_surplus(name, of_format, count)
        _show_disordered(name, of_format, count)
        _show_parted(name, of_format, count)


def show_explained(scored: dict[File, Score], count: int) -> None:
    """The worst files of all formats and all below `LEAST`: what their parse counts as lost, and why."""
    known = reasons()
    lacking = sorted(
        (file for file, one in scored.items() if one.missing),
        key=lambda file: (scored[file].recall or 0.0, -scored[file].missing.total()),
    )
    print(f"\nworst of all, and those below {LEAST} of words or numbers")
    for number, file in enumerate(lacking):
        figures = scored[file].figures
        shares = [share for share in (figures["recall"], figures["numbers"]) if share is not None]
        if number < count or min(shares) < LEAST:
            said = losses(file) or "no loss counted"
            print(f"  {' '.join(f'{share:.4f}' for share in shares)} {file.label}: {said}")
            print(f"         {known.get(file.label, 'not explained')}")


def _show_surplus(name: str, of_format: Sequence[tuple[File, Score]], count: int) -> None:
    """The files with words in our reading that they hold nowhere, or not so often."""
    told = [(file, one) for file, one in of_format if one.given > one.true]
    if told:
        print(f"\nsurplus in {name}")
    for file, one in sorted(told, key=lambda entry: entry[1].true / entry[1].given)[:count]:
        words = " ".join(word[:LONGEST] for word, _ in one.surplus.most_common(SAMPLE))
        print(f"  {one.true / one.given:.4f} {file.label}: {one.given - one.true} of {one.given}: {words}")


def _show_disordered(name: str, of_format: Sequence[tuple[File, Score]], count: int) -> None:
    """The files with passages judged by eye that do not stand in that order in our reading."""
    told = [(file, one) for file, one in of_format if one.read_in_order < one.passages]
    if told:
        print(f"\nout of reading order in {name}")
    for file, one in sorted(told, key=lambda entry: entry[1].read_in_order / entry[1].passages)[:count]:
        print(f"  {one.read_in_order} of {one.passages} passages: {file.label}")


def _show_parted(name: str, of_format: Sequence[tuple[File, Score]], count: int) -> None:
    """The files with cells that stood side by side and do not in our reading."""
    told = [(file, one) for file, one in of_format if one.parted]
    if told:
        print(f"\nneighbours parted in {name}")
    for file, one in sorted(told, key=lambda entry: entry[1].pairs_found / entry[1].pairs)[:count]:
        pairs = "; ".join(" ".join(pair)[:LONGEST] for pair in list(one.parted)[: SAMPLE // 2])
        lost = one.pairs - one.pairs_found
        print(f"  {one.pairs_found / one.pairs:.4f} {file.label}: {lost} of {one.pairs}: {pairs}")


def _sample(missing: Counter[str], sequence: Sequence[str]) -> list[str]:
    left = Counter(missing)
    found = []
    for word in reversed(sequence):
        if left[word] > 0:
            left[word] -= 1
            found.append(word)
    found.reverse()
    return [word[:LONGEST] for word in [*found, *(+left).elements()][:SAMPLE]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--formats", default=",".join(SUFFIXES), help="names, divided by commas")
    parser.add_argument("--no-peers", action="store_true", help="measure our own parsers alone")
    parser.add_argument("--peers", default=",".join(readers.PEERS), help="names, divided by commas")
    parser.add_argument("--sample", type=int, help="at most so many files of each format, the same each time")
    parser.add_argument("--worst", type=int, default=20, help="how many files of each format to name")
    arguments = parser.parse_args()
    formats = _chosen(parser, arguments.formats, SUFFIXES)
    peers = [] if arguments.no_peers else _chosen(parser, arguments.peers, readers.PEERS)
    if not DATA.is_dir():
        sys.exit(f"needs the files of {DATA} (set RAG_DATA_DIR)")
    if absent := [
        name for name in ("soffice", "chromium", "chromedriver", "pdftotext") if not shutil.which(name)
    ]:
        sys.exit(f"needs {', '.join(absent)} on the path")

    known, without = referenced(list(files(formats, arguments.sample)))
    listed = list(known)
    answers = dict(readers.ours(listed))
    errors = {file: answer.error for file, answer in answers.items() if answer.error}
    scored = scores(answers.items(), known)
    engines = {"ours": sums(scored)}
    for name in peers:
        try:
            engines[name] = sums(scores(readers.peer(name, listed), known))
        except readers.Unavailable as error:
            print(f"{name}: {error}")

    show_sums(engines)
    show_lost(engines["ours"])
    show_worst(scored, known, errors, arguments.worst)
    show_explained(scored, arguments.worst)
    print(f"\n{len(without)} files without a reference")
    for file, reason in without.items():
        print(f"  {file.label}: {reason}")
    for engine, summed in engines.items():
        for name, one in summed.items():
            for figure, share in one.means.items():
                if share is not None:
                    FIGURES.ratio(f"{figure}, {name}, {engine}", share)
            FIGURES.context(f"ms/file, {name}, {engine}", 1000 * one.seconds / one.files)
    FIGURES.record(formats=",".join(formats), files=len(listed), peers=",".join(peers))


def _chosen(parser: argparse.ArgumentParser, names: str, known: Iterable[str]) -> list[str]:
    chosen = [name for name in names.split(",") if name]
    if unknown := set(chosen) - set(known):
        parser.error(f"no {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    main()
