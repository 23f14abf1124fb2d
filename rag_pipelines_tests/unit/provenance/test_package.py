"""The code that a stage runs: moved modules change nothing, everything that can be reached counts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from rag_pipelines.chunking.fingerprints import STRATEGIES, chunker_stage
from rag_pipelines.parsing.fingerprints import parser_stage
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.provenance import package
from rag_pipelines.provenance.package import IGNORED, Package, this_package
from rag_pipelines.provenance.stages import code_of

HOUSE = {
    "__init__.py": """
'A house.'
__version__ = "1"
""",
    "reader.py": """
import lxml
from house import text
from house.tables import rows

def read(x):
    return rows(text.clean(x))
""",
    "text.py": """
from house.marks import MARKS

def clean(x):
    return x.strip(MARKS)
""",
    "marks.py": 'MARKS = "-"\n',
    "tables.py": """
def rows(x):
    from house.late import order

    return order(x)

def cells(x):
    return x
""",
    "late.py": """
import yaml
from house.errors import Bad

def order(x):
    if not x:
        raise Bad
    return x
""",
    "errors.py": "class Bad(Exception):\n    pass\n",
    "other.py": "def rows(x):\n    return x\n",
    "unrelated.py": "from house import reader\n",
}
ROOT = "house.reader"


def house(folder: Path, files: dict[str, str], memory: Path | None = None) -> Package:
    root = folder / "house"
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return Package(root, "house", {"house.errors"}, memory)


@pytest.fixture
def code(tmp_path):
    """The code of a house with these changes, from the given root."""
    counted = iter(range(100))

    def code(root: str = ROOT, without: tuple[str, ...] = (), **changed: str):
        files = {name: source for name, source in HOUSE.items() if name not in without}
        files |= {name.replace("__", "/") + ".py": source for name, source in changed.items()}
        return house(tmp_path / str(next(counted)), files).code_of([root])

    return code


def test_a_stage_is_what_its_module_reaches(tmp_path):
    made = house(tmp_path, HOUSE)
    reached = {"house.reader", "house", "house.text", "house.marks", "house.tables", "house.late"}
    assert set(made.members([ROOT])) == reached - {"house"}
    assert made.code_of([ROOT]).libraries == ("lxml", "yaml")


@pytest.mark.parametrize("module", ["reader", "text", "marks", "tables", "late"])
def test_a_change_anywhere_in_reach_changes_the_digest(code, module):
    changed = code(**{module: HOUSE[f"{module}.py"] + "\nMORE = 1\n"})
    assert changed.digest != code().digest


@pytest.mark.parametrize("module", ["errors", "other", "unrelated"])
def test_a_change_out_of_reach_changes_nothing(code, module):
    assert code(**{module: HOUSE[f"{module}.py"] + "\nMORE = 1\n"}) == code()


def test_a_new_release_changes_nothing(tmp_path):
    released = house(tmp_path / "new", {**HOUSE, "__init__.py": '__version__ = "2"\n'})
    assert released.code_of([ROOT]) == house(tmp_path / "old", HOUSE).code_of([ROOT])


def test_modules_that_move_and_get_other_names_change_nothing(code):
    """The reader, the module it names and one that it takes a name from, all in rooms of their own."""
    moved = code(
        "house.read.parse",
        without=("reader.py", "text.py", "marks.py", "tables.py"),
        read__parse=HOUSE["reader.py"]
        .replace("from house import text", "from house.words import mending")
        .replace("text.clean", "mending.clean")
        .replace("house.tables", "house.grids.grid"),
        words__mending=HOUSE["text.py"].replace("house.marks", "house.words.signs"),
        words__signs=HOUSE["marks.py"],
        grids__grid=HOUSE["tables.py"],
    )
    assert moved == code()


def test_a_name_from_another_place_changes_the_digest(code):
    """Both places are in reach before and after, and the names are the same."""
    more = (
        HOUSE["reader.py"]
        + "\n\ndef also(x):\n    from house.other import rows as simple\n\n    return simple(x)\n"
    )
    swapped = (
        more.replace("house.tables", "house.X")
        .replace("house.other", "house.tables")
        .replace("house.X", "house.other")
    )
    assert code(reader=more).digest != code(reader=swapped).digest


def test_modules_that_import_each_other_are_no_trouble(code):
    circle = {"text": HOUSE["text.py"] + "\nfrom house import reader\n"}
    assert code(**circle).digest not in ("", code().digest)
    assert code(**circle) == code(**circle)


def test_a_module_alone_counts_without_what_it_imports(tmp_path):
    before, after = (
        house(tmp_path / "1", HOUSE),
        house(tmp_path / "2", {**HOUSE, "marks.py": 'MARKS = "+"\n'}),
    )
    assert before.code_of([], alone=["house.reader"]) == after.code_of([], alone=["house.reader"])
    assert before.code_of([], alone=["house.text"]) != after.code_of([], alone=["house.other"])


def test_other_code_counts_as_it_stands(tmp_path):
    made = house(tmp_path, HOUSE)
    assert made.code_of([ROOT], texts=["SELECT 1"]) != made.code_of([ROOT], texts=["SELECT 2"])


def test_a_module_without_source_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"no source of house\.attic"):
        house(tmp_path, HOUSE).code_of(["house.attic"])


def test_what_sources_say_is_remembered_by_their_bytes(tmp_path, monkeypatch):
    memory = tmp_path / "cache" / "code.json"
    first = house(tmp_path, HOUSE, memory).code_of([ROOT])
    read = package.read_module
    asked: list[bytes] = []

    def counted(source, name):
        asked.append(source)
        return read(source, name)

    monkeypatch.setattr(package, "read_module", counted)
    assert house(tmp_path, HOUSE, memory).code_of([ROOT]) == first
    assert asked == []
    changed = house(tmp_path, {**HOUSE, "marks.py": 'MARKS = "+"\n'}, memory).code_of([ROOT])
    assert changed != first
    assert asked == [b'MARKS = "+"\n']


def test_a_source_of_the_same_age_and_size_is_not_mistaken_for_another(tmp_path):
    memory = tmp_path / "code.json"
    first = house(tmp_path, HOUSE, memory).code_of([ROOT])
    marks = tmp_path / "house" / "marks.py"
    before = marks.stat()
    marks.write_text('MARKS = "+"\n')
    os.utime(marks, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Package(tmp_path / "house", "house", {"house.errors"}, memory).code_of([ROOT]) != first


@pytest.mark.parametrize("damage", [b"", b"{", b'{"a": 1}', b"\xff\xfe"])
def test_a_damaged_memory_costs_only_the_reading(tmp_path, damage):
    memory = tmp_path / "code.json"
    memory.write_bytes(damage)
    assert house(tmp_path, HOUSE, memory).code_of([ROOT]) == house(tmp_path, HOUSE).code_of([ROOT])


def test_nothing_has_to_be_writable(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    memory = blocked / "cache" / "code.json"
    assert house(tmp_path, HOUSE, memory).code_of([ROOT]) == house(tmp_path, HOUSE).code_of([ROOT])


def test_every_ignored_module_is_there_and_says_why():
    for module, reason in IGNORED.items():
        assert this_package().members([module]) == []
        assert this_package().code_of([], alone=[module]).digest
        assert reason


def test_rooms_of_this_package_may_be_rebuilt_without_any_stage_changing(tmp_path):
    """What reads HTML and what finds boundaries get other names in other rooms."""
    source, root = Path(package.__file__).parent.parent, tmp_path / "rag_pipelines"
    moves = {"parsing.html.parse": "parsing.web.reading", "text.boundaries": "chunking.cuts"}
    rewritten = [
        (
            r"from rag_pipelines\.parsing\.html import parse as",
            "from rag_pipelines.parsing.web import reading as",
        ),
        (r"from rag_pipelines\.parsing\.html\.parse import", "from rag_pipelines.parsing.web.reading import"),
        (r"from rag_pipelines\.text\.boundaries import", "from rag_pipelines.chunking.cuts import"),
    ]
    names = {f"rag_pipelines.{old}": f"rag_pipelines.{new}" for old, new in moves.items()}
    for path in source.rglob("*.py"):
        module = path.relative_to(source).with_suffix("").as_posix().replace("/", ".")
        text = path.read_text()
        for old, new in rewritten:
            text = re.sub(old, new, text)
        moved = root.joinpath(*moves.get(module, module).split(".")).with_suffix(".py")
        moved.parent.mkdir(parents=True, exist_ok=True)
        moved.write_text(text)
    rebuilt = Package(root, "rag_pipelines", IGNORED)
    for stage in [*map(parser_stage, FORMATS), *map(chunker_stage, STRATEGIES)]:
        modules = [names.get(one, one) for one in stage.modules]
        assert rebuilt.code_of(modules, alone=stage.alone) == code_of(stage), stage.key
