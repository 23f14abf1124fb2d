"""How texts and questions are read for the lexical index, by the database itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

Ask = Callable[..., Any]

EXAMPLES = settings(max_examples=300, deadline=None)


@pytest.fixture(scope="module")
def ask(postgres: str, template_database: str) -> Iterator[Ask]:
    """Ask the database for the value of an expression."""
    with psycopg.connect(make_conninfo(postgres, dbname=template_database), autocommit=True) as connection:

        def value(expression: str, *params: Any) -> Any:
            row = connection.execute(f"SELECT {expression}".encode(), params).fetchone()
            assert row is not None
            return row[0]

        yield value


def words(ask: Ask, text: str, language: str = "english") -> set[str]:
    return set(ask("tsvector_to_array(rag.words(%s::regconfig, %s))", language, text))


TEXTS = {
    "E-4417": ["E-4417", "e-4417", "E4417", "e_4417", "4417"],
    "ORA-00942": ["ora-00942", "ORA00942", "00942"],
    "0x80070005": ["0X80070005"],
    "CVE-2024-1234": ["cve-2024-1234", "1234", "cve"],
    "1N4148": ["1n4148"],
    "A/B-12.3": ["a/b-12.3", "B-12.3"],
    "3.11.2": ["3.11.2"],
    "v3.11.2": ["V3.11.2", "3.11.2"],
    "C++": ["c++"],
    "C#": ["c#"],
    ".NET": [".net", "NET"],
    "AT&T": ["at&t", "AT & T"],
    "R&D": ["R & D", "r&d"],
    "§ 15a": ["§15a", "§§ 15a", "15a"],
    "Procter&Gamble": ["procter", "Procter & Gamble"],
    "Zürich": ["zürich", "Zurich"],
    "ＡＢＣ－１２３": ["ABC-123", "abc123"],
    "10⁶": ["10^6", "10"],
    "№ 5": ["No 5"],
    "Acme™": ["acme", "Acme®"],
    "max_pool_size": ["MAX_POOL_SIZE", "maxpoolsize", "pool"],
    "getUserName": ["getUserName", "getusername", "user", "names"],
    "src/main/UserService.java": ["userservice.java", "users", "UserService"],
    "com.acme.Billing": ["com.acme.billing", "billing", "acme"],
    "report_final.v2.pdf": ["Report_Final.v2.PDF", "report", "final", "pdf"],
    "/etc/nginx/default.conf": ["/etc/nginx/default.conf", "default.conf", "nginx"],
    r"C:\temp\log.txt": [r"c:\temp\log.txt", "log.txt", "temp"],
    "ann.smith@acme.example": ["Ann.Smith@acme.example", "ann.smith", "smith", "acme.example"],
    "https://www.acme.example/a/guide.html?x=1#top": ["www.acme.example", "guide.html", "guides", "acme"],
    "std::vector<int>": ["std::vector", "vector", "int"],
    "10.1.2.3:8080": ["10.1.2.3:8080", "10.1.2.3", "8080"],
    "2024-11-20": ["2024-11-20", "20241120", "2024"],
    "<CUSTOMER_ID>": ["customer_id", "customer"],
    "COVID-19": ["covid-19", "covid", "19"],
    "input/output": ["input/output", "outputs"],
    "long-term": ["long-term", "term", "long"],
    "Größe-42": ["größe-42", "42"],
}


@pytest.mark.parametrize("typed", TEXTS)
def test_an_identifier_is_found_as_typed_in_any_case_and_by_its_parts(ask: Ask, typed: str) -> None:
    text = words(ask, f"Look at ({typed}), it is there.")
    for asked in (typed, typed.lower(), *TEXTS[typed]):
        assert words(ask, asked)
        assert words(ask, asked) <= text, asked


def test_a_version_is_found_with_a_v_that_the_text_leaves_out(ask: Ask) -> None:
    assert "3.11.2" in words(ask, "v3.11.2") & words(ask, "since 3.11.2")


@pytest.mark.parametrize(
    ("typed", "other"),
    [
        ("E-4417", "Error E is one of 4417 errors"),
        ("C++", "Vitamin C, grade C, and C# too"),
        ("report_final.v2.pdf", "a final report as pdf, and a report v2"),
        ("ann.smith@acme.example", "bob.smith@acme.example wrote to ann@acme.example"),
        ("10.1.2.3:8080", "10.1.2.3 has port 8080"),
        ("AT&T", "he is at T, at and t"),
        (".NET", "net income"),
        ("§ 15a", "house 15a"),
        ("10⁶", "106 litres"),
    ],
)
def test_an_identifier_is_told_from_its_parts_elsewhere(ask: Ask, typed: str, other: str) -> None:
    assert words(ask, typed) <= words(ask, f"see {typed}.")
    assert not words(ask, typed) <= words(ask, other)


PART = st.text(alphabet="abcXYZ019é", min_size=1, max_size=6)
JOINT = st.sampled_from(["-", "_", ".", "/", "\\", "@", ":", "::"])
IDENTIFIER = st.builds(
    lambda first, rest: first + "".join(joint + part for joint, part in rest),
    PART,
    st.lists(st.tuples(JOINT, PART), max_size=4),
)
AROUND = st.sampled_from(
    ["{}", "({})", '"{}"', "{}.", "{},", "a {} b", "<{}>", "see: {}; then", "x={}", "{}?"]
)


@EXAMPLES
@given(IDENTIFIER, AROUND)
def test_whatever_stands_in_a_text_is_found_as_it_stands_there(ask: Ask, typed: str, around: str) -> None:
    text = words(ask, around.format(typed))
    assert words(ask, typed) <= text
    assert words(ask, typed.lower()) <= text


PLAIN = st.sampled_from(
    ["the", "of", "running", "shoes", "error-prone", "3.5", "1,000", "C++", "-5", "$7", "it's"]
)


@EXAMPLES
@given(
    st.lists(st.one_of(IDENTIFIER, PLAIN), min_size=1, max_size=8),
    st.data(),
    st.sampled_from([["english"], ["german", "english"]]),
)
def test_a_phrase_is_found_where_it_stands(
    ask: Ask, typed: list[str], data: st.DataObject, languages: list[str]
) -> None:
    first = data.draw(st.integers(0, len(typed) - 1))
    last = data.draw(st.integers(first, len(typed) - 1))
    query = "rag.phrases_query(%s::regconfig[], %s)"
    phrase = " ".join(typed[first : last + 1])
    assert ask(f"rag.words('english', %s) @@ {query}", " ".join(typed), languages, [phrase]) is not False


@pytest.mark.parametrize(
    ("phrases", "text", "found"),
    [
        (["exact words"], "These are the exact words.", True),
        (["exact words"], "words that are exact", False),
        (["running shoes"], "A running shoe and a walking shoe", True),
        (["war of the worlds"], "The War of the Worlds", True),
        (["war of the worlds"], "war worlds", False),
        (["E-4417"], "error e-4417 again", True),
        (["E-4417"], "class E has 4417 members", False),
        (["report_final"], "see report_final.v2.pdf", True),
        (["C++"], "Programming in C++17", True),
        (["C++"], "Programming in C", False),
        (["exact words", "E-4417"], "exact words of E-4417", True),
        (["exact words", "E-4417"], "exact words", False),
        (["the"], "anything", None),
        (["to be or not to be"], "anything", None),
        ([], "anything", None),
        (["exact words", "the"], "nothing of it", False),
    ],
)
def test_every_phrase_has_to_be_there(ask: Ask, phrases: list[str], text: str, found: bool | None) -> None:
    query = "rag.phrases_query('{english}', %s)"
    assert ask(f"rag.words('english', %s) @@ {query}", text, phrases) is found


PLANTED = {
    "zh": (
        "员工每年可以享受十五天带薪年假。报销单据必须在三十天内提交给财务部，逾期不予受理。税另计。",
        ["带薪年假", "年假", "报销单据", "财务部", "三十天", "税"],
    ),
    "ja": (
        "出張旅費は帰着後七日以内に精算してください。ﾒｰﾙで申請し、パスワードは変更すること。",
        ["出張旅費", "旅費", "精算", "メール", "パスワード", "申請"],
    ),
    "th": (
        "พนักงานมีสิทธิลาพักร้อนได้ปีละสิบห้าวัน และต้องแจ้งหัวหน้างานล่วงหน้า",
        ["ลาพักร้อน", "พนักงาน", "หัวหน้างาน", "สิบห้าวัน", "ล่วงหน้า"],
    ),
    "ko": (
        "출장보고서를 귀사 후 삼일 이내에 제출하고 영수증을 첨부한다. 물은 제공된다.",
        ["출장보고서", "보고서", "영수증", "제출", "물"],
    ),
    "lo": ("ພະນັກງານມີສິດລາພັກປະຈຳປີ", ["ພະນັກງານ", "ປະຈຳປີ"]),
    "km": ("បុគ្គលិកមានសិទ្ធិឈប់សម្រាកប្រចាំឆ្នាំ", ["បុគ្គលិក", "ប្រចាំឆ្នាំ"]),
    "my": ("ဝန်ထမ်းများသည် ခွင့်ရက်ခံစားခွင့်ရှိသည်", ["ဝန်ထမ်း", "ခွင့်ရက်"]),
    "de": (
        "Die Straßenbahnfahrt nach Zürich erstattet Jürgen Müller in der Geschäftsstelle Köln.",
        [
            "Zurich",
            "Zürich",
            "Strassenbahnfahrt",
            "Straßenbahnfahrt",
            "Geschaftsstelle Koln",
            "Jürgen Muller",
        ],
    ),
    "fr": (
        "Les employés déposent leur résumé de frais chez Hélène Lefèvre au café de l'étage, œuvre comprise.",
        ["resume", "résumé", "cafe", "Helene Lefevre", "Hélène Lefèvre", "employes", "oeuvre"],
    ),
    "pl": ("Umowa z firmą w Łodzi została podpisana.", ["Lodzi", "firma", "zostala podpisana"]),
    "tr": ("İstanbul ofisi çalışıyor", ["istanbul", "ISTANBUL", "calisiyor"]),
    "vi": ("Nghỉ phép năm được hưởng lương", ["nghi phep nam", "huong luong", "Nghỉ phép"]),
    "el": ("Η άδεια εγκρίθηκε στην Αθήνα", ["αδεια", "Αθηνα", "άδεια"]),
    "ar": ("يَحِقُّ لِلمُوَظَّفِ إجازة سنويـــة", ["يحق للموظف", "اجازة", "سنوية"]),
    "he": ("חֻפְשָׁה שנתית", ["חפשה", "שנתית"]),
}


@pytest.mark.parametrize("language", PLANTED)
@pytest.mark.parametrize("read_in", ["english", "simple"])
def test_a_word_of_any_script_is_found_inside_its_sentence_and_quoted(
    ask: Ask, language: str, read_in: str
) -> None:
    text, planted = PLANTED[language]
    for word in planted:
        found = ask(
            "tsvector_to_array(rag.words(%s, %s)) @> "
            "tsvector_to_array(rag.question_words(ARRAY[%s::regconfig], %s))",
            read_in,
            text,
            read_in,
            word,
        )
        quoted = ask(
            "rag.words(%s, %s) @@ rag.phrases_query(ARRAY[%s::regconfig], ARRAY[%s])",
            read_in,
            text,
            read_in,
            word,
        )
        assert (found, quoted) == (True, True), word


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("报销单据", "报销的单据"),
        ("財務部", "部財務"),
        ("ลาพักร้อน", "ร้อนพักลา"),
        ("보고서", "보고 서류"),
        ("Zürich", "the city of Zurich"),
        ("résumé", "we resume work"),
    ],
)
def test_a_phrase_is_not_found_in_parts_nor_one_typed_with_accents_without_them(
    ask: Ask, phrase: str, text: str
) -> None:
    assert not ask("rag.words('simple', %s) @@ rag.phrases_query('{simple}', ARRAY[%s])", text, phrase)


ANY_SCRIPT = st.text(
    alphabet="年假報かなカー々가나다กำรั้ລາក្ងကြaéß1 .-。「ｱＡ①½⁶™",
    min_size=1,
    max_size=20,
)


@EXAMPLES
@given(ANY_SCRIPT, st.data())
def test_any_part_of_a_text_without_spaces_is_found_in_it(ask: Ask, text: str, data: st.DataObject) -> None:
    """Where a part begins or ends inside a character with its marks it is another text."""
    pieces = [piece for piece in text.split() if len(piece) > 1]
    for word in pieces[:3]:
        asked = "tsvector_to_array(rag.question_words('{simple}', %s))"
        assert ask(f"coalesce(tsvector_to_array(rag.words('simple', %s)) @> {asked}, true)", text, word), word


def test_a_phrase_may_be_in_any_language_of_the_index(ask: Ask) -> None:
    query = "rag.phrases_query('{english,german}', ARRAY['neue Häuser', 'running shoes'])"
    assert ask(f"rag.words('german', 'die neuen Häuser, running shoes') @@ {query}")
    assert ask(f"rag.words('english', 'neue Häuser, a running shoe') @@ {query}")
    assert not ask(f"rag.words('german', 'die neuen Häuser') @@ {query}")


@pytest.mark.parametrize(
    ("question", "read"),
    [
        ("what are the houses", {"hous"}),
        ("was sind die Häuser", {"haus"}),
        ("Häuser E-4417", {"haus", "häuser", "hauser", "e", "4417", "e4417"}),
        ("?!", set()),
    ],
)
def test_a_question_is_read_in_its_language_or_in_all_where_that_does_not_tell(
    ask: Ask, question: str, read: set[str]
) -> None:
    asked = "coalesce(tsvector_to_array(rag.question_words('{english,german}', %s)), '{}')"
    assert set(ask(asked, question)) == read


ENGLISH = (
    "The committee met in the autumn and decided that all of them would have to be there by the end of May."
)
GERMAN = (
    "Der Ausschuss kam im Herbst zusammen und hat entschieden, dass sie alle bis Ende Mai da sein sollen."
)
FRENCH = (
    "Le comité s'est réuni en automne et a décidé qu'ils devaient tous être là avant la fin du mois de mai."
)


@pytest.mark.parametrize(
    ("declared", "text", "language"),
    [
        (None, ENGLISH, "english"),
        (None, GERMAN, "german"),
        (None, FRENCH, "french"),
        ("de", ENGLISH, "german"),
        ("de-AT", ENGLISH, "german"),
        ("DE_ch", ENGLISH, "german"),
        ("en", GERMAN, "german"),
        ("ja", ENGLISH, "english"),
        ("", ENGLISH, "english"),
        (None, "E-4417", "english"),
        (None, "", "english"),
    ],
)
def test_a_text_is_read_in_the_language_it_declares_or_has_most_stop_words_of(
    ask: Ask, declared: str | None, text: str, language: str
) -> None:
    others = json.dumps({"de": "german", "fr": "french"})
    assert ask("rag.language_of(%s, %s, 'english', %s::jsonb)::text", declared, text, others) == language
    assert ask("rag.language_of(%s, %s, 'english', '{}')::text", declared, text) == "english"


@pytest.mark.parametrize(
    ("path", "known", "added"),
    [
        ("norway/leave.md", "Leave for parents\n\n", "norway"),
        ("manuals/aurelia 600/care.html", "Installation and care", "manuals aurelia 600"),
        ("policies/travel-policy_2022.v3.pdf", "Travel policy.", "policies 2022.v3"),
        ("2026/hf-travel.html", "Travel policy 2026", "hf"),
        ("2026/notes.txt", "notes", "2026"),
        ("Help center/Ordering/Prices of spare parts", "Prices of spare parts", "Help center Ordering"),
        ("reports/0001628280-24-018832.pdf", "Report to shareholders", "reports"),
        ("blobs/9f86d081884c7d659a2feaa0c55ad015.pdf", "blobs", None),
        ("34257293234331", "", None),
        ("a/b/K-1180.docx", "", "1180"),
        ("büro/größe.md", "Größe", "büro"),
        ("", "text", None),
    ],
)
def test_the_words_of_a_place_are_those_that_a_text_lacks(
    ask: Ask, path: str, known: str, added: str | None
) -> None:
    assert ask("rag.place_words(%s, %s)", path, known) == added


@pytest.mark.parametrize(
    "text",
    [
        "a-" * 250_000,
        "/" * 500_000,
        "aB" * 250_000,
        "x" * 500_000,
        "C++ " * 100_000,
        "報" * 200_000,
        "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(200_000)),
        "".join(f"é{number:x} " for number in range(100_000)),
        " ".join(str(UUID(int=number * 2**64 + number)) for number in range(14_000)),
        " ".join(f"/{number:x}/{number:x}.{number:x}@{number}" for number in range(2**24, 2**24 + 14_000)),
        " ".join(
            f"{chr(2**17 + number)}_1{chr(2**17 + number)}/{chr(2**17 + number)}" for number in range(30_000)
        ),
    ],
    ids=[
        "joints",
        "slashes",
        "camels",
        "letters",
        "plus",
        "one pair",
        "pairs",
        "accents",
        "hashes",
        "addresses",
        "characters",
    ],
)
def test_no_text_is_too_odd_to_be_indexed(ask: Ask, text: str) -> None:
    assert ask("rag.text_length(rag.words('english', %s))", text) >= 0


def test_the_two_languages_of_a_corpus_are_told_apart(ask: Ask, data_set: Callable[[str], Path]) -> None:
    folder = data_set("xquad")
    for code, language in (("en", "english"), ("de", "german")):
        with (folder / code / "corpus.jsonl").open(encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line in file]
        told = "rag.language_of(NULL, text, 'english', '{\"de\": \"german\"}') = %s::regconfig"
        assert ask(f"bool_and({told}) FROM unnest(%s::text[]) AS text", language, texts)


ROWS = st.dictionaries(
    st.one_of(st.integers(0, 300), st.sampled_from([n * 0x01010101 for n in range(1, 8)] + [2**31 - 1])),
    st.integers(1, 255),
    max_size=40,
)
"""Numbers of rows with a share each; many whose bytes also stand across two postings."""


@EXAMPLES
@given(ROWS, st.data())
def test_postings_lose_the_rows_that_go_and_no_others(
    ask: Ask, rows: dict[int, int], data: st.DataObject
) -> None:
    def joined(kept: dict[int, int]) -> bytes:
        return b"".join(slot.to_bytes(4, "big") + bytes([share]) for slot, share in sorted(kept.items()))

    gone = data.draw(st.lists(st.sampled_from([*rows, 7, 0x01010101]), unique=True))
    left = {slot: share for slot, share in rows.items() if slot not in gone}
    assert ask("rag.postings_without(%s, %s::int[])", joined(rows), gone) == joined(left)
