#!/usr/bin/env bash
# trec_eval orders a ranking anew, by scores in single precision and then by the names of the documents.
#
# Library    ir-measures 0.4.3 with pytrec-eval-terrier 0.5.11 (trec_eval inside)
# Behaviour  The order that a search gave does not count. Scores that are equal in 32 bits are ties, and of a
#            tie the document whose name comes last in the alphabet stands first. Cosines and fused ranks of
#            close neighbours differ in the ninth digit. Of the same library, `RR@10` keeps the given scores
#            and `RR` does not, because another provider computes it: the same ranking has two reciprocal
#            ranks.
# Seen       the judged document has the highest score of three
#                                  P@1  nDCG@10  RR    RR@10
#            its scores            0.0      0.5  0.33     1.0
#            negative ranks        1.0      1.0   1.0     1.0
# Who        Anybody who compares two indexes by nDCG on scores of their own: the figure depends on how
#            documents are called, and a change of names is a change of quality. Give it scores that single
#            precision tells apart, such as the negative rank.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ir-measures==0.4.3' 'pytrec-eval-terrier==0.5.11' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import ir_measures
    from ir_measures import RR, P, nDCG

    judged = {"q": {"right": 1}}
    ranked = {"q": {"right": 0.5000000002, "wrong": 0.5000000001, "zebra": 0.5}}

    def measured(run: dict[str, dict[str, float]]) -> list[float]:
        return [round(ir_measures.calc_aggregate([one], judged, run)[one], 2) for one in (P @ 1, nDCG @ 10, RR, RR @ 10)]

    by_score = measured(ranked)
    by_rank = measured({"q": {name: -float(place) for place, name in enumerate(ranked["q"])}})
    print("the judged document has the highest score of three")
    print("                      P@1  nDCG@10  RR    RR@10")
    for name, (first, gain, rank, rank_10) in {"its scores": by_score, "negative ranks": by_rank}.items():
        print(f"{name:<20} {first:>4} {gain:>8} {rank:>5} {rank_10:>7}")
    assert by_score == [0.0, 0.5, 0.33, 1.0], by_score
    assert by_rank == [1.0, 1.0, 1.0, 1.0], by_rank


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
