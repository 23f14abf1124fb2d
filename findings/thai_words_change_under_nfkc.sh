#!/usr/bin/env bash
# Unicode: NFKC takes a Thai vowel apart, and a segmenter with a dictionary no longer finds the words.
#
# Library    Python's unicodedata with pythainlp 5.4.0 (engine newmm)
# Behaviour  SARA AM (U+0E33) stands in a great many words (water, word, to do). Its compatibility form is two
#            characters, U+0E4D and U+0E32, and no normal form puts them together again. Dictionaries have the
#            single one. Text that was normalised first, as is the rule for search, is cut into other pieces:
#            the words come out in fragments.
# Seen       as typed   3 words: น้ำมัน | และ | คำถาม
#            NFKC       5 words: น้ํา | มัน | และ | คํา | ถาม
# Who        Anybody who folds widths by NFKC and then cuts Thai or Lao into words, or compares words of a
#            segmenter with normalised ones. Normalise after cutting, or leave U+0E33 and U+0EB3 out. Here Thai
#            is matched by pairs of characters, on both sides after normalisation.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pythainlp==5.4.0' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import unicodedata

    from pythainlp.tokenize import word_tokenize

    text = "น้ำมันและคำถาม"
    form = unicodedata.normalize("NFKC", text)
    found = {name: word_tokenize(one, engine="newmm") for name, one in (("as typed", text), ("NFKC", form))}
    for name, words in found.items():
        print(f"{name:<10} {len(words)} words: {' | '.join(words)}")
    assert unicodedata.normalize("NFC", form) == form != text
    assert found["NFKC"] != [unicodedata.normalize("NFKC", word) for word in found["as typed"]], found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
