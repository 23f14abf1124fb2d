"""The demo corpus is what its table of contents says, the help center's stand-in answers as Zendesk does, and
the golden questions can be answered from both."""

from __future__ import annotations

import email
import email.policy
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path

import docx
import openpyxl
import pptx
import pymupdf
import pytest
import yaml

from rag_pipelines import demo
from rag_pipelines.connectors.base import Complete, Group, Item
from rag_pipelines.connectors.filesystem import FilesystemConnector, FilesystemOptions
from rag_pipelines.connectors.zendesk.connector import ZendeskConnector
from rag_pipelines.connectors.zendesk.options import ZendeskOptions
from rag_pipelines.demo.help_center import HelpCenter
from rag_pipelines.model import EVERYONE, AccessRule

CORPUS = demo.corpus_path()
QUERIES = yaml.safe_load(demo.queries_path().read_text(encoding="utf-8"))["queries"]
BUILDER = Path(__file__).parents[2] / "tools/demo_corpus/build.py"
LIGATURES_SPELT_OUT = pymupdf.TEXTFLAGS_TEXT & ~pymupdf.TEXT_PRESERVE_LIGATURES
BUILT = {".pdf", ".docx", ".pptx", ".xlsx", ".eml"}
TENANTS = ("acme-sensors", "brightwater")
TENANT_OF = {**{tenant: tenant for tenant in TENANTS}, "help-center": "acme-sensors"}
"""By source."""

pymupdf.TOOLS.mupdf_display_errors(False)


def documents() -> set[str]:
    """Every document, relative to the corpus root."""
    return {
        path.relative_to(CORPUS).as_posix()
        for path in CORPUS.rglob("*")
        if path.is_file() and not path.name.endswith(".access.yaml")
    }


def table_of_contents() -> set[str]:
    """The documents that the package's docstring lists, read from its indentation."""
    listed, folders = set(), []
    for line in (demo.__doc__ or "").splitlines():
        entry = re.match(r"^( {4,})([\w.-]+/?)(?: {2,}|$)", line)
        if entry is None:
            continue
        depth = len(entry[1]) // 2 - 2
        folders = folders[:depth]
        if entry[2].endswith("/"):
            folders.append(entry[2])
        else:
            listed.add("".join(folders) + entry[2])
    return listed


@cache
def pages(path: str, root: Path = CORPUS) -> tuple[str, ...]:
    """The text of a document by page or slide, by the format's own library, with single spaces."""
    if path in articles():
        return (single_spaced(re.sub(r"<[^>]+>", " ", articles()[path].load().decode())),)
    file = root / path
    match file.suffix:
        case ".pdf":
            texts = [page.get_text(flags=LIGATURES_SPELT_OUT) for page in pymupdf.open(file)]
        case ".docx":
            document = docx.Document(str(file))
            cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
            texts = ["\n".join([paragraph.text for paragraph in document.paragraphs] + cells)]
        case ".pptx":
            texts = [slide_text(slide) for slide in pptx.Presentation(str(file)).slides]
        case ".xlsx":
            book = openpyxl.load_workbook(file)
            cells = [str(value) for sheet in book for row in sheet.values for value in row]
            texts = ["\n".join(cells)]
        case ".eml":
            message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            texts = [message.get_body().get_content()]
        case ".html":
            texts = [re.sub(r"<[^>]+>", " ", file.read_text(encoding="utf-8")).replace("&pound;", "£")]
        case _:
            texts = [file.read_text(encoding="utf-8")]
    return tuple(single_spaced(text) for text in texts)


def slide_text(slide) -> str:
    tables = [shape.table for shape in slide.shapes if shape.has_table]
    cells = [cell.text for table in tables for row in table.rows for cell in row.cells]
    frames = [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
    return "\n".join([*frames, *cells, slide.notes_slide.notes_text_frame.text])


def single_spaced(text: str) -> str:
    return " ".join(text.split())


@cache
def rules() -> dict[str, AccessRule | None]:
    """The access rule of every document as the filesystem connector reads it from the sidecars."""
    found = {}
    for tenant in TENANTS:
        options = FilesystemOptions(root=str(CORPUS / tenant))
        for entry in FilesystemConnector(tenant, options).items():
            assert isinstance(entry, Item | Complete), entry
            if isinstance(entry, Item):
                found[f"{tenant}/{entry.path}"] = entry.access
    return found | {path: item.access for path, item in articles().items()}


@contextmanager
def help_center() -> Iterator[ZendeskConnector]:
    """The third source, read from its stand-in."""
    with HelpCenter() as center:
        options = ZendeskOptions(url=center.url, oauth_token="demo", directory="zendesk/acme-sensors")
        with closing(ZendeskConnector("help-center", options)) as connector:
            yield connector


@cache
def articles() -> dict[str, Item]:
    """The documents of the help center by source and path."""
    with help_center() as connector:
        items = [entry for entry in connector.items() if isinstance(entry, Item)]
    return {f"help-center/{item.path}": item for item in items}


@cache
def groups() -> dict[str, set[str]]:
    """By principal, the groups of the help center that it stands behind."""
    with help_center() as connector:
        listed = [group for group in connector.groups() if isinstance(group, Group)]
    found: dict[str, set[str]] = {}
    for group in listed:
        for member in group.members:
            found.setdefault(member, set()).add(group.principal)
    return found


def may_see(principals: list[str], path: str) -> bool:
    rule = rules()[path]
    held = {*principals, EVERYONE}
    for _ in range(3):
        held |= {group for one in held for group in groups().get(one, ())}
    return rule is not None and all(held & {*clause} for clause in rule.clauses) and not held & {*rule.deny}


def test_the_table_of_contents_lists_exactly_the_documents_that_are_there():
    assert table_of_contents() == documents()


def test_the_corpus_is_small_enough_for_a_wheel():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 2_000_000


def test_every_format_that_the_parsers_promise_is_there():
    suffixes = Counter(Path(path).suffix for path in documents())
    assert {".md", ".html", ".pdf", ".docx", ".pptx", ".xlsx", ".csv", ".eml", ".txt", ".log", ".js"} == {
        *suffixes
    }
    assert suffixes[".pdf"] >= 8


def test_documents_without_text_are_so_for_the_stated_reason():
    def status(path: str) -> str:
        content = (CORPUS / path).read_bytes()
        if not path.endswith(".pdf"):
            return "text" if content.strip() else "empty"
        try:
            document = pymupdf.open(stream=content, filetype="pdf")
        except pymupdf.FileDataError:
            return "corrupt"
        if document.needs_pass:
            return "encrypted"
        return "text" if any(page.get_text().strip() for page in document) else "empty"

    states = {path: status(path) for path in documents()}
    assert {path: state for path, state in states.items() if state != "text"} == demo.WITHOUT_TEXT


def test_the_scanned_page_is_a_picture_of_its_whole_page():
    page = pymupdf.open(CORPUS / "acme-sensors/operations/bridge-inspection-2026-04-scan.pdf")[0]
    (picture,) = page.get_image_info()
    assert (pymupdf.Rect(picture["bbox"]) & page.rect).get_area() > 0.99 * page.rect.get_area()


def test_the_installation_guide_repeats_header_and_footer_around_page_numbers():
    texts = pages("acme-sensors/products/fs-220-installation-guide.pdf")
    assert len(texts) >= 3
    for number, text in enumerate(texts, 1):
        assert "FS-220 Installation Guide" in text
        assert "IG-220-06 · Acme Sensors Ltd · Port Ferrow" in text
        assert f"Page {number} of {len(texts)}" in text


def test_the_white_paper_has_two_columns():
    page = pymupdf.open(CORPUS / "acme-sensors/products/radar-or-ultrasonic.pdf")[0]
    middle = page.rect.width / 2
    left = [block for block in page.get_text("blocks") if block[2] < middle]
    right = [block for block in page.get_text("blocks") if block[0] > middle]
    assert min(len(left), len(right)) >= 4


def test_one_data_sheet_draws_the_lines_of_its_table_and_the_other_draws_none():
    ruled, bare = (
        pymupdf.open(CORPUS / f"acme-sensors/products/{name}-datasheet.pdf")[0]
        for name in ("fs-220", "fs-340")
    )
    assert len(ruled.get_drawings()) >= 30
    assert bare.get_drawings() == []


def test_the_manual_is_long_and_the_notice_is_tiny():
    manual = pages("acme-sensors/operations/field-operations-manual.pdf")
    assert len(manual) >= 10
    assert min(len(page) for page in manual[:10]) > 400
    assert len(pages("acme-sensors/handbook/emergency-contacts.txt")[0]) < 200


def test_the_manual_is_set_with_ligatures():
    path = CORPUS / "acme-sensors/operations/field-operations-manual.pdf"
    assert "ﬂood" in "".join(page.get_text() for page in pymupdf.open(path))


def test_the_word_document_has_levels_nested_lists_and_merged_cells():
    document = docx.Document(str(CORPUS / "acme-sensors/handbook/onboarding-checklist.docx"))
    styles = {paragraph.style.name for paragraph in document.paragraphs}
    assert {"Title", "Heading 1", "Heading 2", "Heading 3", "List Bullet", "List Bullet 2"} <= styles
    assert document.sections[0].header.paragraphs[0].text
    assert document.sections[0].footer.paragraphs[0].text
    last = document.tables[0].rows[-1]
    assert len({cell._tc for cell in last.cells}) == 1


def test_the_slides_have_notes_and_a_table():
    slides = pptx.Presentation(str(CORPUS / "acme-sensors/engineering/meadow-architecture.pptx")).slides
    assert sum(slide.has_notes_slide for slide in slides) >= 3
    assert any(shape.has_table for slide in slides for shape in slide.shapes)


def test_the_workbook_has_two_sheets_and_two_tables_on_the_second():
    book = openpyxl.load_workbook(CORPUS / "acme-sensors/operations/calibration-schedule.xlsx")
    assert book.sheetnames == ["Schedule 2026", "Lab"]
    assert book["Schedule 2026"]["C2"].is_date
    filled = [any(value is not None for value in row) for row in book["Lab"].values]
    assert sum(before and not after for before, after in pairwise([*filled, False])) == 2


def test_the_mail_quotes_the_question_and_attaches_a_table():
    content = (CORPUS / "acme-sensors/support/e-4417-at-wyke-mill.eml").read_bytes()
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert "\n> Dear support" in message.get_body().get_content()
    assert [part.get_filename() for part in message.iter_attachments()] == ["wyke-mill-echo.csv"]


def test_the_web_page_hides_its_text_among_navigation_and_spans_table_cells():
    page = (CORPUS / "acme-sensors/handbook/leave-policy.html").read_text(encoding="utf-8")
    for part in ("<nav", "<footer", "Cookie consent", "rowspan=", "colspan=", "<script"):
        assert part in page


def test_the_two_security_policies_differ_in_few_lines():
    handbook, engineering = (
        (CORPUS / f"acme-sensors/{folder}/information-security.md").read_text(encoding="utf-8").splitlines()
        for folder in ("handbook", "engineering")
    )
    assert len(handbook) == len(engineering)
    different = sum(one != other for one, other in zip(handbook, engineering, strict=True))
    assert 1 <= different <= 6


def test_the_outdated_policy_names_its_successor_and_the_successor_names_it():
    def front_matter(name: str) -> dict:
        text = (CORPUS / "acme-sensors/handbook" / name).read_text(encoding="utf-8")
        return yaml.safe_load(text.split("---\n")[1])

    old, new = front_matter("travel-and-expenses-2024.md"), front_matter("travel-and-expenses-2026.md")
    assert (old["status"], old["superseded_by"]) == ("superseded", "travel-and-expenses-2026.md")
    assert (new["status"], new["supersedes"]) == ("in force", "travel-and-expenses-2024.md")
    assert old["expires"] < new["effective"]


def test_every_document_has_an_access_rule_of_its_own_tenant():
    assert {path for path, rule in rules().items() if rule is not None} == documents() | articles().keys()


def test_an_article_of_the_help_center_is_seen_by_whom_its_segment_lets_see_it():
    ordering, desk = "help-center/Help for customers/Ordering", "help-center/Help for customers/Support desk"
    everybody = f"{ordering}/What customers pay for spare parts"
    distributors = f"{ordering}/Discount for distributors on spare parts"
    agents = f"{desk}/When an agent may grant goodwill"
    seen = {
        name: {path for path in articles() if may_see([f"user:{name}"], path)}
        for name in (
            "ilse@pegelnord.example",
            "j.thwaite@wyke-forecast.example",
            "luis.ferreira@acme-sensors.example",
            "a@stranger.example",
        )
    }
    assert list(seen.values()) == [{everybody, distributors}, {everybody}, {everybody, agents}, {everybody}]


def test_the_stand_in_answers_whatever_a_source_asks_for():
    with help_center() as connector:
        assert [finding for finding in connector.check() if not finding.ok] == []
        (*listed, complete) = connector.items()
        assert isinstance(complete, Complete)
        assert (complete.count, complete.full) == (3, True)
        assert complete.cursor is not None
        (*changed, after) = connector.changes(complete.cursor)
        assert [entry.external_id for entry in changed] == ["article/942"]
        assert isinstance(after, Complete)
        everything = {entry.external_id for entry in listed}
        assert connector.existing([*everything, "article/1"]) == everything


def test_the_access_rules_show_a_conjunction_a_denial_and_a_public_document():
    assert rules()["acme-sensors/hr/speak-up-channel.md"] == AccessRule()
    assert rules()["acme-sensors/engineering/penetration-test-2026.md"].deny == ("group:contractors",)
    assert {*rules()["acme-sensors/hr/reorganisation-plan.md"].clauses} == {
        ("group:everyone-acme",),
        ("group:hr",),
        ("group:leadership",),
    }


def test_the_golden_set_is_well_formed():
    fields = {"id", "tenant", "as", "query", "expect", "must_not_return", "tests"}
    assert all(fields <= {*query} <= fields | {"show"} for query in QUERIES)
    assert len({query["id"] for query in QUERIES}) == len(QUERIES) >= 25
    assert {query["tenant"] for query in QUERIES} == {*TENANTS}
    assert sum(query.get("show", False) for query in QUERIES) == 8


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["id"])
def test_a_golden_question_is_answered_by_words_of_documents_that_its_asker_may_see(query):
    for answer in query["expect"]:
        path = answer["path"]
        texts = pages(path)
        if "page" in answer:
            texts = texts[answer["page"] - 1 : answer["page"]]
        assert TENANT_OF[path.split("/")[0]] == query["tenant"]
        assert may_see(query["as"], path)
        assert any(single_spaced(answer["quote"]) in text for text in texts)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["id"])
def test_what_a_golden_question_must_not_return_is_out_of_reach_for_the_stated_reason(query):
    for unwanted in query["must_not_return"]:
        path = unwanted["path"]
        same_tenant = TENANT_OF[path.split("/")[0]] == query["tenant"]
        match unwanted["because"]:
            case "tenant":
                assert path in documents()
                assert not same_tenant
            case "access":
                assert same_tenant
                assert not may_see(query["as"], path)
            case "outdated":
                text = (CORPUS / path).read_text(encoding="utf-8")
                asked = max(re.findall(r"\b20\d\d\b", query["query"]), default="9999")
                begins = re.search(r"^effective: (\d{4})", text, re.MULTILINE)
                assert "status: superseded" in text or (begins and begins[1] > asked)


@pytest.mark.slow
def test_a_rebuild_of_the_binary_documents_gives_the_text_that_is_shipped(tmp_path):
    subprocess.run([sys.executable, str(BUILDER), str(tmp_path)], check=True, timeout=60)
    rebuilt = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert rebuilt == {path for path in documents() if Path(path).suffix in BUILT}
    for path in rebuilt - demo.WITHOUT_TEXT.keys():
        assert pages(path, tmp_path) == pages(path)
