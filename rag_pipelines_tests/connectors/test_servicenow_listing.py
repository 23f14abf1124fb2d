"""What is listed of ServiceNow: states, versions, children, places, and whether everything was seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rag_pipelines.connectors.base import Complete, Failure, Window
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, TooLargeDocumentError, UsageError
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.servicenow_bench import Bench, id_of, opened
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.servicenow_state import Row


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from opened()


@pytest.fixture
def base(bench: Bench) -> Row:
    return bench.instance.base("HR")


@pytest.mark.parametrize(
    "fields",
    [
        {"workflow_state": "draft"},
        {"workflow_state": "review"},
        {"workflow_state": "retired"},
        {"workflow_state": "outdated"},
        {"active": "false"},
        {"valid_to": "2020-01-01"},
        {"valid_to": ""},
    ],
)
def test_what_readers_do_not_find_is_not_listed(bench: Bench, base: Row, fields: Row) -> None:
    shown = bench.instance.article(base, "Shown", "s")
    bench.instance.article(base, "Not", "n", **fields)
    assert set(bench.listed().items) == {id_of(shown)}


def test_an_article_without_an_end_counts_where_the_options_say_so(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "a", valid_to="")
    assert set(bench.listed(undated=True).items) == {id_of(article)}


def test_a_block_alone_is_no_article(bench: Bench, base: Row) -> None:
    bench.instance.block(base, "Block", "b")
    assert bench.listed().items == {}


def test_an_article_keeps_its_id_through_versions_and_a_draft_of_the_next_is_not_read(
    bench: Bench, base: Row
) -> None:
    first = bench.instance.article(base, "A", "one")
    before = bench.listed()
    second = bench.instance.new_version(first, text="two")
    draft = bench.instance.check_out(second)
    bench.instance.edit(draft, text="three")
    after = bench.listed()
    assert after.texts() == {id_of(first): "two"}
    assert after.tokens() != before.tokens()


def test_html_and_wiki_are_read_from_their_own_fields(bench: Bench, base: Row) -> None:
    html = bench.instance.article(base, "H", "<p>one</p>", wiki="not this")
    wiki = bench.instance.article(base, "W", "not this", article_type="wiki", wiki="== two ==")
    listing = bench.listed()
    assert listing.texts() == {id_of(html): "<p>one</p>", id_of(wiki): "== two =="}
    types = {identity: item.media_type for identity, item in listing.items.items()}
    assert types == {id_of(html): "text/html", id_of(wiki): "text/plain"}


def test_an_article_of_a_template_has_its_content_in_the_columns_of_its_own_table(
    bench: Bench, base: Row
) -> None:
    site = bench.instance
    site.template("kb_template_faq", "kb_question", "kb_answer")
    faq = site.article(
        base, "F", "", table="kb_template_faq", kb_question="<p>Why?</p>", kb_answer="<p>So.</p>"
    )
    listing = bench.listed()
    together = "<h3>Question</h3>\n<div><p>Why?</p></div>\n<h3>Answer</h3>\n<div><p>So.</p></div>"
    assert listing.texts() == {id_of(faq): together}
    site.edit(faq, kb_answer="")
    changed = bench.listed()
    assert changed.tokens() != listing.tokens()
    assert changed.items[id_of(faq)].load() == b"<h3>Question</h3>\n<div><p>Why?</p></div>"


def test_where_templates_cannot_be_read_their_articles_fail_instead_of_being_empty(
    bench: Bench, base: Row
) -> None:
    site = bench.instance
    site.template("kb_template_faq", "kb_question")
    faq = site.article(base, "F", "", table="kb_template_faq", kb_question="Why?")
    plain = site.article(base, "P", "plain")
    site.refused.add("kb_article_template_definition")
    items = bench.listed().items
    assert items[id_of(plain)].load() == b"plain"
    with pytest.raises(ForbiddenEntityError):
        items[id_of(faq)].load()


def test_texts_that_an_access_rule_hides_fail_instead_of_being_empty(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "a")
    bench.double.blind.add(("kb_knowledge", "text"))
    item = bench.listed().items[id_of(article)]
    with pytest.raises(ForbiddenEntityError, match="text of kb_knowledge"):
        item.load()


def test_where_an_article_stands_and_what_it_is_filtered_by(bench: Bench, base: Row) -> None:
    site = bench.instance
    ann = site.user("ann")
    top = site.category("Pay", base)
    below = site.category("Tax/Fees", top)
    german = site.article(
        base, "Steuer", "t", language="de", kb_category=below["sys_id"], author=ann["sys_id"]
    )
    site.edit(german, parent=site.article(base, "Tax", "t")["sys_id"])
    item = bench.listed().items[id_of(german)]
    assert item.path == "HR/Pay/Tax∕Fees/Steuer"
    assert (item.title, item.name, item.author) == ("Steuer", german["number"], "Ann")
    assert item.url == f"{bench.double.url}/kb_view.do?sysparm_article={german['number']}"
    assert item.metadata["language"] == "de"
    assert item.metadata["translation_of"] == f"article/{german['parent']}"
    assert item.modified_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_bases_are_chosen_by_title_or_id_and_languages_narrow(bench: Bench, base: Row) -> None:
    site = bench.instance
    it, old = site.base("IT"), site.base("Old")
    site.edit(old, active="false")
    rows = {name: site.article(one, name, name) for name, one in (("hr", base), ("it", it), ("old", old))}
    german = site.article(it, "de", "de", language="de")
    assert set(bench.listed().items) == {id_of(rows["hr"]), id_of(rows["it"]), id_of(german)}
    assert set(bench.listed(bases=["HR"]).items) == {id_of(rows["hr"])}
    assert set(bench.listed(exclude_bases=[base["sys_id"]]).items) == {id_of(rows["it"]), id_of(german)}
    assert set(bench.listed(languages=["de"]).items) == {id_of(german)}


def test_a_base_that_is_not_there_makes_the_listing_incomplete(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "a")
    listing = bench.listed(bases=["HR", "Legal"])
    assert set(listing.items) == {id_of(article)}
    assert not listing.is_full
    assert "'Legal'" in str(listing.failures[0].error)


def test_a_hidden_base_makes_the_listing_incomplete_unless_the_options_name_others(
    bench: Bench, base: Row
) -> None:
    article = bench.instance.article(base, "A", "a")
    bench.instance.hidden.add(bench.instance.base("Secret")["sys_id"])
    listing = bench.listed()
    assert (set(listing.items), listing.is_full) == ({id_of(article)}, False)
    assert "hide knowledge bases" in str(listing.failures[0].error)
    assert bench.listed(bases=["HR"]).is_full


def test_two_bases_of_one_title_are_told_apart_by_id(bench: Bench, base: Row) -> None:
    bench.instance.base("HR")
    listing = bench.listed(bases=["HR"])
    assert listing.failures[0].whole
    assert isinstance(listing.failures[0].error, UsageError)
    assert bench.listed(bases=[base["sys_id"]]).is_full


def test_attachments_stand_below_their_article_and_images_of_its_text_do_not(bench: Bench, base: Row) -> None:
    site = bench.instance
    article = site.article(base, "A", "a", table="kb_knowledge")
    plan = site.attach(article, "plan.pdf", b"%PDF", "application/octet-stream")
    image = site.attach(article, "image.png", b"png", "image/png")
    site.edit(image, table_name="ZZ_YYkb_knowledge")
    large = site.attach(article, "large.bin", b"x" * 50)
    listing = bench.listed(max_bytes=40)
    identity = f"{id_of(article)}/attachment/{plan['sys_id']}"
    assert set(listing.items) == {id_of(article), identity}
    item = listing.items[identity]
    assert (item.load(), item.media_type, item.size) == (b"%PDF", "application/pdf", 4)
    assert (item.path, item.access) == ("HR/A/plan.pdf", listing.items[id_of(article)].access)
    assert [failure.external_id for failure in listing.failures] == [
        f"{id_of(article)}/attachment/{large['sys_id']}"
    ]
    assert isinstance(listing.failures[0].error, TooLargeDocumentError)
    assert listing.is_full
    assert set(bench.listed(attachments=False).items) == {id_of(article)}


def test_blocks_are_listed_below_each_article_that_uses_them(bench: Bench, base: Row) -> None:
    site = bench.instance
    one, two = site.article(base, "One", "1"), site.article(base, "Two", "2")
    block, draft = site.block(base, "B", "block"), site.block(base, "D", "d", workflow_state="draft")
    for article in (one, two):
        site.use_block(article, block)
        site.use_block(article, draft)
    ids = {f"{id_of(article)}/block/{block['sys_id']}" for article in (one, two)}
    assert set(bench.listed().items) == {id_of(one), id_of(two), *ids}
    assert set(bench.listed(blocks=False).items) == {id_of(one), id_of(two)}


def test_an_instance_without_the_plugin_for_blocks_has_none(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "a")
    del bench.instance.tables["m2m_kb_knowledge_to_block"]
    listing = bench.listed()
    assert (set(listing.items), listing.is_full) == ({id_of(article)}, True)


def test_items_of_the_catalogue_are_documents_where_the_options_say_so(bench: Bench) -> None:
    laptop = bench.instance.item("Laptop", "<p>Fast</p>")
    bench.instance.item("Old", "old", active="false")
    assert bench.listed().items == {}
    assert bench.listed(catalogue=True).texts() == {f"item/{laptop['sys_id']}": "<p>Fast</p>"}


@pytest.mark.parametrize("table", ["kb_knowledge", "sys_attachment", "kb_knowledge_block"])
def test_rows_that_an_access_rule_hides_make_the_listing_incomplete(
    bench: Bench, base: Row, table: str
) -> None:
    site = bench.instance
    rows = [site.article(base, f"A {n}", "a") for n in range(8)]
    for row in rows:
        site.attach(row, "a.txt", b"a")
        site.use_block(row, site.block(base, "B", "b"))
    hidden = sorted(site.tables[table])[:4]
    site.hidden.update(hidden)
    listing = bench.listed(page_size=2)
    assert not listing.is_full
    assert [type(failure.error) for failure in listing.failures] == [ForbiddenEntityError]
    assert table in str(listing.failures[0].error)
    gone = 4 * (3 if table == "kb_knowledge" else 1)
    assert len(listing.items) == 24 - gone
    assert listing.complete is not None
    assert listing.complete.cursor is not None


def test_a_page_that_the_instance_shortens_hides_nothing(bench: Bench, base: Row) -> None:
    rows = [bench.instance.article(base, f"A {n}", "a") for n in range(7)]
    bench.double.cap = 2
    listing = bench.listed(page_size=100)
    assert (set(listing.items), listing.is_full) == ({id_of(row) for row in rows}, True)


def test_without_a_count_nobody_knows_whether_a_listing_is_whole(bench: Bench, base: Row) -> None:
    bench.instance.article(base, "A", "a")
    bench.double.counts = False
    listing = bench.listed()
    assert not listing.is_full
    assert "X-Total-Count" in str(listing.failures[0].error)


def test_an_article_that_is_edited_between_pages_is_listed_once(bench: Bench, base: Row) -> None:
    site = bench.instance
    rows = [site.article(base, f"A {n}", "a") for n in range(9)]

    def edit() -> None:
        site.tick()
        site.edit(rows[0], text="b")

    bench.double.before(2, edit, "ORDERBYsys_updated_on")
    listing = bench.listed(page_size=3)
    assert (set(listing.items), listing.is_full) == ({id_of(row) for row in rows}, True)


def test_a_window_chooses_by_time_of_change(bench: Bench, base: Row) -> None:
    site = bench.instance
    site.article(base, "Old", "o")
    since = site.tick()
    inside = site.article(base, "In", "i")
    site.tick()
    site.article(base, "New", "n")
    window = Window(since, since + timedelta(minutes=1))
    listing = Listing.of(bench.connector().items(window))
    assert set(listing.items) == {id_of(inside)}
    assert listing.complete == Complete(1, full=False)


def test_many_contents_are_read_with_one_request(bench: Bench, base: Row) -> None:
    for n in range(20):
        bench.instance.article(base, f"A {n}", f"text {n}")
    listing = bench.listed(page_size=100)
    bench.double.log.clear()
    assert sorted(listing.texts().values()) == sorted(f"text {n}" for n in range(20))
    assert len(bench.double.log) == 1


def test_a_refused_login_ends_with_a_credential_error_and_a_dead_instance_with_a_failure(
    bench: Bench,
) -> None:
    with pytest.raises(CredentialError):
        bench.listed(password="wrong")
    bench.double.faults.script(Status(503), times=10**6)
    listing = bench.listed()
    assert [failure.whole for failure in listing.failures] == [True]


def test_the_login_by_oauth_renews_its_token(bench: Bench, base: Row) -> None:
    article = bench.instance.article(base, "A", "a")
    login = {"client_id": "client", "client_secret": "secret"}

    def expire() -> None:
        bench.double.logins = {}

    bench.double.before(4, expire, "/table/")
    listing = bench.listed(**login)
    assert (set(listing.items), bench.double.tokens) == ({id_of(article)}, 2)


def test_check_names_what_the_account_lacks(bench: Bench, base: Row) -> None:
    site = bench.instance
    ann = site.user("ann", department="d1")
    site.set_criteria(base, "can_read", [site.criterion(department=["d1"])])
    site.set_readers(site.article(base, "A", "a"), [site.criterion(user=[ann])])
    connector = bench.connector()
    assert all(finding.ok for finding in connector.check()), connector.check()
    site.refused |= {"sys_user_has_role", "sys_properties"}
    site.hidden.add(next(iter(site.tables["kb_uc_can_read_mtom"])))
    bench.double.blind |= {("kb_knowledge", "can_read_user_criteria"), ("sys_user", "department")}
    wrong = {finding.name: finding.detail for finding in connector.check() if not finding.ok}
    assert wrong.keys() == {
        "sys_user_has_role", "sys_properties", "kb_uc_can_read_mtom", "kb_knowledge", "sys_user",
    }  # fmt: skip
    assert "user_admin" in wrong["sys_user_has_role"]
    assert "department" in wrong["sys_user"]
    assert "knowledge_admin" in wrong["kb_knowledge"]


def test_check_says_when_the_login_is_refused_or_a_base_is_missing(bench: Bench, base: Row) -> None:
    assert not bench.connector(password="wrong").check()[0].ok
    missing = [finding for finding in bench.connector(bases=["Legal"]).check() if not finding.ok]
    assert "'Legal'" in missing[0].detail


def test_an_article_whose_row_lacks_a_field_is_a_failure_of_its_own(bench: Bench, base: Row) -> None:
    site = bench.instance
    good, bad = site.article(base, "Good", "g"), site.article(base, "Bad", "b")
    bench.double.malformed.add(bad["sys_id"])
    listing = bench.listed()
    assert set(listing.items) == {id_of(good)}
    failure = listing.failures[0]
    assert isinstance(failure, Failure)
    assert failure.external_id == id_of(bad)
    assert listing.is_full
