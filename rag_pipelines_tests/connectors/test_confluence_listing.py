"""What Confluence lists, what stays the same when something changes, and how much is asked."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from rag_pipelines.connectors.base import Complete
from rag_pipelines.errors import (
    TooLargeDocumentError,
)
from rag_pipelines.model import AccessRule
from rag_pipelines_tests.connectors.confluence_bench import (
    DIRECTORY,
    HR_SPACE,
    STORAGE,
    Wiki,
    group,
    opened,
    user,
    whole_cursor,
)
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.confluence_state import Readers
from rag_pipelines_tests.doubles.faults import Status, Truncate


@pytest.fixture(params=[ConfluenceCloud, ConfluenceDataCenter], ids=["cloud", "data-center"])
def wiki(request: pytest.FixtureRequest) -> Iterator[Wiki]:
    yield from opened(request.param)


@pytest.fixture
def cloud() -> Iterator[Wiki]:
    yield from opened(ConfluenceCloud)


# What is listed.


def test_a_page_says_where_it_is_and_what_it_is(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Handbook")
    page = wiki.site.page("HR", "Leave", "<p>Thirty days.</p>", parent=top.id)
    wiki.site.label(page.id, "policy", "leave")
    wiki.site.edit(page.id, "<p>Forty days.</p>")
    listing = wiki.listed()
    item = listing.items[f"page/{page.id}"]
    assert (item.title, item.path) == ("Leave", "Human Resources/Handbook/Leave")
    assert item.media_type == STORAGE
    assert item.url == f"{wiki.double.url}/spaces/HR/pages/{page.id}/Leave"
    assert item.author == "Ann Author"
    assert item.modified_at == wiki.site.now
    assert item.metadata == {
        "type": "page",
        "space": "HR",
        "status": "current",
        "version": 2,
        "labels": ["leave", "policy"],
        "ancestors": ["Handbook"],
    }
    assert item.load() == b"<p>Forty days.</p>"
    assert listing.is_full


def test_posts_comments_and_attachments_are_documents_of_their_own(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    post = wiki.site.blog_post("HR", "News", "<p>News</p>")
    footer = wiki.site.comment(page.id, "<p>Why?</p>")
    reply = wiki.site.comment(page.id, "<p>Because.</p>", reply_to=footer.id)
    inline = wiki.site.comment(post.id, "<p>Typo</p>", location="inline")
    file = wiki.site.attach(page.id, "plan.pdf", b"%PDF-1.4", "application/pdf")
    listing = wiki.listed()
    assert set(listing.items) == {
        f"page/{page.id}",
        f"blogpost/{post.id}",
        f"comment/{footer.id}",
        f"comment/{reply.id}",
        f"comment/{inline.id}",
        f"attachment/att{file.id}",
    }
    comment = listing.items[f"comment/{footer.id}"]
    assert comment.title == "Comment on Leave"
    assert comment.path == f"Human Resources/Leave/Comment {footer.id}"
    assert comment.metadata["container"] == f"page/{page.id}"
    attachment = listing.items[f"attachment/att{file.id}"]
    assert (attachment.name, attachment.media_type, attachment.size) == ("plan.pdf", "application/pdf", 8)
    assert (attachment.title, attachment.path) == (None, "Human Resources/Leave/plan.pdf")
    loaded = listing.texts()
    assert loaded[f"comment/{reply.id}"] == "<p>Because.</p>"
    assert loaded[f"comment/{inline.id}"] == "<p>Typo</p>"
    assert loaded[f"attachment/att{file.id}"] == "%PDF-1.4"


def test_each_kind_can_be_left_out(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    post = wiki.site.blog_post("HR", "News")
    wiki.site.comment(page.id, "<p>Why?</p>")
    wiki.site.comment(post.id, "<p>Why?</p>")
    wiki.site.attach(page.id, "plan.pdf", b"%PDF-1.4", "application/pdf")
    listing = wiki.listed(blog_posts=False, comments=False, attachments=False)
    assert set(listing.items) == {f"page/{page.id}"}
    with_comments = wiki.listed(blog_posts=False, attachments=False)
    assert len(with_comments.items) == 2, "what is on a post goes with the post"


def test_an_attachment_above_the_limit_fails_alone(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    file = wiki.site.attach(page.id, "film.mp4", b"x" * 2000, "video/mp4")
    listing = wiki.listed(max_bytes=1000)
    assert [one.external_id for one in listing.failures] == [f"attachment/att{file.id}"]
    assert isinstance(listing.failures[0].error, TooLargeDocumentError)
    assert listing.is_full


def test_an_attachment_that_grew_after_the_listing_is_not_read_to_its_end(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    file = wiki.site.attach(page.id, "film.mp4", b"x" * 500, "video/mp4")
    item = wiki.listed(max_bytes=1000).items[f"attachment/att{file.id}"]
    wiki.site.edit(file.id, b"x" * 2000)
    with pytest.raises(TooLargeDocumentError):
        item.load()


def test_an_attachment_that_breaks_off_is_read_again(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    file = wiki.site.attach(page.id, "plan.pdf", b"%PDF-1.4" * 100, "application/pdf")
    item = wiki.listed().items[f"attachment/att{file.id}"]
    wiki.double.faults.script(Truncate(framing="close"), path="/media/|/download/attachments")
    assert item.load() == b"%PDF-1.4" * 100


def test_archived_pages_and_drafts_are_listed_by_setting_only(wiki: Wiki) -> None:
    current = wiki.site.page("HR", "Now")
    archived = wiki.site.archive(wiki.site.page("HR", "Then", "<p>old</p>").id)
    draft = wiki.site.page("HR", "Soon", "<p>new</p>", status="draft")
    assert set(wiki.listed().items) == {f"page/{current.id}"}
    everything = wiki.listed(archived=True, drafts=True)
    assert set(everything.items) == {f"page/{one.id}" for one in (current, archived, draft)}
    assert everything.items[f"page/{draft.id}"].metadata["status"] == "draft"
    assert set(everything.texts().values()) == {"", "<p>old</p>", "<p>new</p>"}


def test_archived_spaces_are_listed_by_setting_only(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    wiki.site.spaces["HR"].status = "archived"
    wiki.site.refresh()
    assert not wiki.listed().items
    assert set(wiki.listed(archived=True).items) == {f"page/{page.id}"}
    assert wiki.connector().existing([f"page/{page.id}"]) == set()
    assert wiki.connector(archived=True).existing([f"page/{page.id}"]) == {f"page/{page.id}"}


def test_spaces_are_chosen_by_key(wiki: Wiki) -> None:
    hr, it = wiki.site.page("HR", "Leave"), wiki.site.page("IT", "Keys")
    wiki.site.comment(it.id, "<p>Where?</p>")
    assert set(wiki.listed(spaces=["HR"]).items) == {f"page/{hr.id}"}
    assert set(wiki.listed(exclude_spaces=["IT"]).items) == {f"page/{hr.id}"}


def test_a_personal_space_is_a_space(wiki: Wiki) -> None:
    key = "~712020ee2049b23ac64da1b06405e83e96830f"
    wiki.site.space(key, "Ann", Readers(people=["ann"]))
    page = wiki.site.page(key, "Notes")
    file = wiki.site.attach(page.id, "a & b?.txt", b"text", "text/plain")
    listing = wiki.listed(spaces=[key])
    assert set(listing.texts()) == {f"page/{page.id}", f"attachment/att{file.id}"}
    assert set(wiki.followed(whole_cursor(listing), spaces=[key]).items) == set(listing.items)
    assert wiki.groups(spaces=[key])[0][f"space:{DIRECTORY}/{key}"].members == (user("ann"),)


def test_a_chosen_space_that_cannot_be_seen_is_said_and_deletes_nothing(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    listing = wiki.listed(spaces=["HR", "GONE"])
    assert set(listing.items) == {f"page/{page.id}"}
    assert [one.entity for one in listing.failures] == ["space GONE"]
    assert not listing.is_full


def test_roots_choose_a_page_with_all_below_it(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Handbook")
    middle = wiki.site.archive(wiki.site.page("HR", "Archived chapter", parent=top.id).id)
    page = wiki.site.page("HR", "Leave", parent=middle.id)
    wiki.site.page("HR", "Elsewhere")
    wiki.site.blog_post("HR", "News")
    note = wiki.site.comment(page.id, "<p>Why?</p>")
    expected = {f"page/{top.id}", f"page/{page.id}", f"comment/{note.id}"}
    assert set(wiki.listed(roots=[str(top.id)]).items) == expected
    ids = set(wiki.connector(roots=[str(top.id)]).ids())
    assert {one for one in ids if isinstance(one, str)} == expected


def test_labels_choose_pages_with_what_is_on_them(wiki: Wiki) -> None:
    public, secret, plain = (wiki.site.page("HR", title) for title in ("Public", "Secret", "Plain"))
    wiki.site.label(public.id, "publish")
    wiki.site.label(secret.id, "publish", "secret")
    note = wiki.site.comment(public.id, "<p>Why?</p>")
    wiki.site.comment(secret.id, "<p>Hush</p>")
    chosen = {"labels": ["publish"], "exclude_labels": ["secret"]}
    assert set(wiki.listed(**chosen).items) == {f"page/{public.id}", f"comment/{note.id}"}
    ids = [f"page/{one.id}" for one in (public, secret, plain)]
    assert wiki.connector(**chosen).existing(ids) == {f"page/{public.id}"}


def test_a_page_in_a_folder_is_below_it(cloud: Wiki) -> None:
    folder = cloud.site.folder("HR", "Policies")
    page = cloud.site.page("HR", "Leave", parent=folder.id)
    cloud.site.restrict(folder.id, groups=("hr",))
    item = cloud.listed().items[f"page/{page.id}"]
    assert item.path == "Human Resources/Policies/Leave"
    assert item.access == AccessRule(((group("hr"),), (HR_SPACE,)))
    assert f"folder/{folder.id}" not in cloud.listed().items


# What stays the same when something changes.


def test_a_rename_is_the_same_document_with_the_same_bytes(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave", "<p>Thirty days.</p>")
    before = wiki.listed().items[f"page/{page.id}"]
    was = before.load()
    wiki.site.edit(page.id, title="Holidays")
    after = wiki.listed().items[f"page/{page.id}"]
    assert (after.title, after.path) == ("Holidays", "Human Resources/Holidays")
    assert after.load() == was


def test_a_move_changes_place_and_access_but_not_the_token(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    child = wiki.site.page("HR", "Sick leave", parent=page.id)
    before = wiki.listed().items
    wiki.site.move(page.id, space="IT")
    after = wiki.listed().items
    assert after.keys() == before.keys()
    identity = f"page/{child.id}"
    assert after[identity].token == before[identity].token
    assert after[identity].path == "Computers/Leave/Sick leave"
    assert after[identity].access == AccessRule(((f"space:{DIRECTORY}/IT",),))


def test_a_restored_page_keeps_its_id_and_token(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    before = wiki.listed().tokens()
    wiki.site.trash(page.id)
    assert wiki.listed().items == {}
    wiki.site.restore(page.id)
    assert wiki.listed().tokens() == before


def test_what_is_on_a_trashed_page_goes_with_it(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave")
    note = wiki.site.comment(page.id, "<p>Why?</p>")
    file = wiki.site.attach(page.id, "plan.pdf", b"%PDF", "application/pdf")
    ids = [f"page/{page.id}", f"comment/{note.id}", f"attachment/att{file.id}"]
    assert wiki.connector().existing(ids) == set(ids)
    wiki.site.trash(page.id)
    assert wiki.listed().items == {}
    assert wiki.connector().existing(ids) == set()


def test_pages_below_a_trashed_page_move_up(wiki: Wiki) -> None:
    top = wiki.site.page("HR", "Handbook")
    page = wiki.site.page("HR", "Leave", parent=top.id)
    wiki.site.restrict(top.id, people=("ann",))
    wiki.site.trash(top.id)
    assert wiki.listed().items[f"page/{page.id}"].path == "Human Resources/Leave"
    assert wiki.rule(page.id) == AccessRule(((HR_SPACE,),))


# How much is asked.


def test_a_listing_of_five_thousand_pages_takes_tens_of_requests_and_no_bodies(wiki: Wiki) -> None:
    wiki.double.cap = 250
    for n in range(5000):
        wiki.site.page("HR", f"Page {n}", "<p>body</p>")
    listing = wiki.listed()
    assert len(listing.items) == 5000
    assert len(wiki.double.log) < 60
    assert not wiki.double.requests("body")


def test_ids_are_listed_without_asking_who_may_read_them(wiki: Wiki) -> None:
    pages = [wiki.site.page("HR", f"Page {n}") for n in range(300)]
    *ids, complete = wiki.connector().ids()
    assert set(ids) == {f"page/{one.id}" for one in pages}
    assert complete == Complete(300)
    assert not wiki.double.requests("restriction")


def test_bodies_are_read_in_bulk_and_once(wiki: Wiki) -> None:
    pages = [wiki.site.page("HR", f"Page {n}", f"<p>{n}</p>") for n in range(120)]
    notes = [wiki.site.comment(pages[0].id, f"<p>note {n}</p>") for n in range(20)]
    listing = wiki.listed()
    before = len(wiki.double.log)
    texts = listing.texts()
    assert len(wiki.double.log) - before <= 4
    assert texts[f"page/{pages[7].id}"] == "<p>7</p>"
    assert texts[f"comment/{notes[7].id}"] == "<p>note 7</p>"


def test_a_body_that_bulk_reading_missed_is_read_alone(wiki: Wiki) -> None:
    page = wiki.site.page("HR", "Leave", "<p>Thirty</p>")
    listing = wiki.listed()
    wiki.double.faults.script(Status(500), path="id=|search", times=2)
    assert listing.texts() == {f"page/{page.id}": "<p>Thirty</p>"}


def test_people_who_are_mentioned_have_names(wiki: Wiki) -> None:
    key = "ri:account-id" if wiki.is_cloud else "ri:userkey"
    wiki.site.person("oh", 'Eve "O\'Hara" <CEO>')
    body = f'<p><ac:link><ri:user {key}="ann"/></ac:link><ri:user {key}="oh" /><ri:user {key}="nobody"/></p>'
    page = wiki.site.page("HR", "Leave", body)
    expected = body.replace(f'{key}="ann"', f'{key}="ann" ri:display-name="Ann"').replace(
        f'{key}="oh"', f'{key}="oh" ri:display-name="Eve &quot;O&#x27;Hara&quot; &lt;CEO&gt;"'
    )
    listing = wiki.listed()
    assert listing.texts() == {f"page/{page.id}": expected}, "in bulk"
    assert listing.items[f"page/{page.id}"].load().decode() == expected, "alone"


def test_a_mention_in_code_is_text(wiki: Wiki) -> None:
    mention = '<ri:user ri:account-id="ann" ri:userkey="ann"/>'
    body = f"<p>{mention}</p><ac:plain-text-body><![CDATA[{mention}]]></ac:plain-text-body><p>{mention}</p>"
    wiki.site.page("HR", "Leave", body)
    (text,) = wiki.listed().texts().values()
    assert text.count("ri:display-name") == 2
    assert f"<![CDATA[{mention}]]>" in text


def test_hostile_bodies_are_searched_in_time_that_is_in_proportion_to_their_length(wiki: Wiki) -> None:
    def seconds(times: int) -> float:
        for piece in ("<ri:user ", "<![CDATA[", '<ri:user ri:userkey="'):
            wiki.site.page("HR", "Hostile", piece * times)
        began = time.process_time()
        assert wiki.listed().texts()
        return time.process_time() - began

    few, many = seconds(30_000), seconds(120_000)
    assert len(wiki.listed().items) == 6
    assert many < 10 * max(few, 0.1)
