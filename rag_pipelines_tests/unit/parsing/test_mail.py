"""Mail: what is said, quoted and attached; encrypted and hostile messages end as such."""

from __future__ import annotations

from email.message import EmailMessage

import openpyxl
import pytest

from rag_pipelines.errors import EmptyDocumentError, EncryptedDocumentError
from rag_pipelines.parsing import parts
from rag_pipelines_tests.unit.parsing.office import outline, parse, saved, status, tables


def message(subject: str = "Budget", body: str = "Please see below.\n") -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = subject
    made["From"] = "Ann Lee <ann@example.com>"
    made["To"] = "Bob <bob@example.com>, carol@example.com"
    made["Date"] = "Tue, 01 Oct 2024 12:34:56 -0500"
    if body:
        made.set_content(body)
    return made


def said(made: EmailMessage) -> list[tuple[str, str]]:
    """The blocks of a message below its head."""
    return outline(parse(bytes(made)))[2:]


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (["Item", "Cost"], ["Desk", 300]):
        book.active.append(row)
    return saved(book.save)


def test_the_subject_is_the_title_and_the_headers_are_metadata() -> None:
    document = parse(bytes(message(subject="Übersicht für Müller")))
    assert document.title == "Übersicht für Müller"
    assert document.metadata["author"] == "Ann Lee <ann@example.com>"
    assert document.metadata["to"] == ["Bob <bob@example.com>", "carol@example.com"]
    assert document.metadata["created"] == "2024-10-01T12:34:56-05:00"
    assert outline(document) == [
        ("title", "Übersicht für Müller"),
        (
            "paragraph",
            "From: Ann Lee <ann@example.com>\nTo: Bob <bob@example.com>, carol@example.com\n"
            "Date: 2024-10-01 12:34 -0500",
        ),
        ("paragraph", "Please see below."),
    ]


def test_copies_stand_in_the_head() -> None:
    made = message()
    made["Cc"], made["Bcc"] = "Dan <dan@example.com>", "eve@example.com"
    assert "\nCc: Dan <dan@example.com>\nBcc: eve@example.com\n" in parse(bytes(made)).text


def test_of_two_forms_of_a_body_only_the_richer_is_read() -> None:
    made = message(body="plain form")
    made.add_alternative("<p>rich form</p><ul><li>item</li></ul>", subtype="html")
    assert said(made) == [("paragraph", "rich form"), ("list_item 1", "item")]


def test_an_empty_html_form_does_not_hide_the_plain_one() -> None:
    made = message(body="plain form")
    made.add_alternative("  ", subtype="html")
    assert said(made) == [("paragraph", "plain form")]


def test_hard_wrapped_lines_are_one_paragraph_and_lists_are_lists() -> None:
    body = "This paragraph was wrapped by\nthe mail program at seventy\ncolumns.\n\n- one\n- two\n"
    assert said(message(body=body)) == [
        ("paragraph", "This paragraph was wrapped by the mail program at seventy columns."),
        ("list_item 1", "one"),
        ("list_item 1", "two"),
    ]


def test_quoted_lines_are_quotes_in_plain_and_in_rich_text() -> None:
    plain = message(body="I agree.\n\nOn Monday Bob wrote:\n> Shall we?\n> I think so.\n\nAnn\n")
    rich = message(body="")
    rich.set_content("<p>I agree.</p><blockquote>Shall we?</blockquote>", subtype="html")
    assert ("quote", "Shall we?\nI think so.") in outline(parse(bytes(plain)))
    assert ("quote", "Shall we?") in outline(parse(bytes(rich)))
    assert outline(parse(bytes(plain)))[-1] == ("paragraph", "Ann")


def test_what_follows_a_forwarding_line_is_a_quote() -> None:
    document = parse(bytes(message(body="FYI\n\n-----Original Message-----\nFrom: Bob\n\nOld news.\n")))
    assert outline(document)[-1] == ("quote", "Old news.")


def test_an_attachment_is_a_section_with_its_own_structure() -> None:
    made = message()
    made.add_attachment(workbook(), maintype="application", subtype="octet-stream", filename="costs.xlsx")
    document = parse(bytes(made))
    assert document.metadata["attachments"] == ["costs.xlsx"]
    assert tables(document) == [[("Item", "Cost"), ("Desk", "300")]]
    assert document.blocks[-1].heading_path == ("Attachment: costs.xlsx", "Sheet")


def test_an_attachment_that_cannot_be_read_costs_a_warning_and_not_the_message() -> None:
    made = message()
    made.add_attachment(b"PK\x03\x04 broken", maintype="application", subtype="zip", filename="a.docx")
    made.add_attachment("Still read.\n", filename="note.txt")
    document = parse(bytes(made))
    assert "Still read." in document.text
    assert document.counters["attachments_not_read"] == 1
    assert "a.docx" in document.warnings[0]
    assert "corrupt" in document.warnings[0]


def test_a_picture_shown_in_the_text_is_not_an_attachment() -> None:
    made = message(body="")
    made.set_content('<p>Logo: <img alt="" src="cid:logo"></p>', subtype="html")
    made.add_related(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", cid="<logo>")
    document = parse(bytes(made))
    assert "attachments" not in document.metadata
    assert document.warnings == ()


def test_a_message_in_a_message_is_a_section() -> None:
    made = message()
    made.add_attachment(message(subject="Inner", body="Inside.\n"))
    assert said(made)[1:] == [
        ("heading 1", "Attached message: Inner"),
        (
            "paragraph",
            "From: Ann Lee <ann@example.com>\nTo: Bob <bob@example.com>, carol@example.com\n"
            "Date: 2024-10-01 12:34 -0500",
        ),
        ("paragraph", "Inside."),
    ]


def test_messages_in_messages_end_at_a_depth() -> None:
    made = message(subject="level 0", body="text 0\n")
    for level in range(1, 12):
        outer = message(subject=f"level {level}", body=f"text {level}\n")
        outer.add_attachment(made)
        made = outer
    document = parse(bytes(made))
    assert "text 11" in document.text
    assert "text 0" not in document.text
    assert document.counters["attachments_not_read"] == 1


def test_a_message_attached_as_a_file_counts_as_depth_too() -> None:
    data = bytes(message(subject="level 0", body="text 0\n"))
    for level in range(1, 12):
        outer = message(subject=f"level {level}", body=f"text {level}\n")
        outer.add_attachment(data, maintype="application", subtype="octet-stream", filename="a.eml")
        data = bytes(outer)
    document = parse(data)
    assert "text 11" in document.text
    assert "text 0" not in document.text


def test_only_so_many_attachments_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_PARTS", 2)
    made = message()
    for number in range(5):
        made.add_attachment(f"attached {number}\n", filename=f"{number}.txt")
    document = parse(bytes(made))
    assert "attached 1" in document.text
    assert "attached 2" not in document.text
    assert document.counters["attachments_not_read"] == 3


@pytest.mark.parametrize("levels", [60, 5_000])
def test_parts_nested_without_end_do_not_crash(levels: int) -> None:
    parts = "".join(f'--b{n}\nContent-Type: multipart/mixed; boundary="b{n + 1}"\n\n' for n in range(levels))
    data = f'From: a@b.c\nSubject: deep\nContent-Type: multipart/mixed; boundary="b0"\n\n{parts}'.encode()
    assert status(data) in ("parsed", "corrupt")


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/encrypted; boundary="b"; protocol="application/pgp-encrypted"',
        "application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m",
        "application/x-pkcs7-mime; name=smime.p7m",
    ],
)
def test_an_encrypted_message_ends_as_encrypted(content_type: str) -> None:
    data = f"From: a@b.c\nTo: d@e.f\nSubject: s\nContent-Type: {content_type}\n\nMIAGCSqGSIb3DQEHA6CAMIACAQ\n"
    with pytest.raises(EncryptedDocumentError):
        parse(data.encode())


def test_pgp_armour_in_the_text_ends_as_encrypted() -> None:
    with pytest.raises(EncryptedDocumentError):
        parse(bytes(message(body="-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n")))


def test_a_signed_message_is_read_without_its_signature() -> None:
    data = (
        "From: a@b.c\nTo: d@e.f\nSubject: s\nContent-Type: multipart/signed; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nSigned text.\n--b\n"
        "Content-Type: application/pgp-signature; name=signature.asc\n\nxyz\n--b--\n"
    )
    document = parse(data.encode())
    assert outline(document)[-1] == ("paragraph", "Signed text.")
    assert "attachments" not in document.metadata


@pytest.mark.parametrize("charset", ["iso-8859-1", "x-no-such-charset", "utf-7", ""])
def test_a_wrong_charset_costs_no_character(charset: str) -> None:
    head = f"From: a@b.c\nTo: d@e.f\nSubject: s\nContent-Type: text/plain; charset={charset}\n\n"
    assert "Grüße – ja" in parse(head.encode() + "Grüße – ja\n".encode()).text


def test_broken_headers_are_kept_as_they_stand() -> None:
    data = b"From: =?utf-8?B?!!!?= <a@b.c>\nTo: d@e.f\nSubject: =?no-such?Q?x?=\nDate: yesterday\n\nBody\n"
    document = parse(data)
    assert document.title == "=?no-such?Q?x?="
    assert "created" not in document.metadata


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_headers_that_are_not_encoded_keep_their_characters(encoding: str) -> None:
    data = (
        "From: Jörg Müller <j@x.example>\nSubject: Grüße aus Köln\n"
        "Content-Type: multipart/mixed; boundary=b\n\n"
        '--b\nContent-Disposition: attachment; filename="Übung.txt"\n\ntext\n--b--\n'
    )
    document = parse(data.encode(encoding))
    assert document.title == "Grüße aus Köln"
    assert document.metadata["author"] == "Jörg Müller <j@x.example>"
    assert document.metadata["attachments"] == ["Übung.txt"]


def test_encoded_words_without_end_are_kept_as_they_stand() -> None:
    words = "=?utf-8?q?a?= " * 60_000
    text = f"From: a@example.com\nSubject: {words}\n\nText.\n"
    assert parse(text.encode(), "a.eml").title == words.strip()


def test_a_file_name_from_outside_is_only_a_name() -> None:
    made = message()
    made.add_attachment("x\n", filename="..\\..\\etc/passwd.txt")
    assert parse(bytes(made)).metadata["attachments"] == ["passwd.txt"]


def test_a_message_of_nothing_is_empty() -> None:
    with pytest.raises(EmptyDocumentError):
        parse(b"From: a@b.c\nTo: d@e.f\n\n   \n")


def alternatives(*parts: tuple[str, str]) -> bytes:
    """A message with one set of alternatives, the plainest first: content type and content of each."""
    head = "From: ann@x.example\nSubject: Lift\nContent-Type: multipart/alternative; boundary=b\n\n"
    return (
        head
        + "".join(f"--b\nContent-Type: {kind}; charset=utf-8\n\n{content}\n" for kind, content in parts)
        + "--b--\n"
    ).encode()


PLAIN = ("text/plain", "The lift stops on Monday at nine for two hours.")


@pytest.mark.parametrize(
    "rich",
    [
        ("text/html", '<html><body><img src="cid:a"></body></html>'),
        ("text/html", '<img src="https://x.example/letter.png" alt="letter">'),
        ("text/html", '<div style="display: none">preview</div><p>&nbsp;</p>'),
        ("text/html", "<html><head><style>p { color: red }</style></head><body></body></html>"),
        ("text/html", "<p>Newsletter</p>"),
    ],
)
def test_the_plain_form_is_read_where_the_rich_one_does_not_say_it(rich: tuple[str, str]) -> None:
    assert PLAIN[1] in parse(alternatives(PLAIN, rich)).text


def test_the_plain_form_is_read_where_the_rich_one_is_a_picture_with_its_parts() -> None:
    related = (
        "multipart/related; boundary=r",
        "--r\nContent-Type: text/html\n\n<img src=cid:i>\n"
        "--r\nContent-Type: image/png\nContent-ID: <i>\n\nPNG\n--r--\n",
    )
    assert PLAIN[1] in parse(alternatives(PLAIN, related)).text


def test_the_form_that_is_not_read_is_counted_and_not_called_missing() -> None:
    document = parse(alternatives(PLAIN, ("text/html", "<p>The lift stops on Monday at nine.</p>")))
    assert "two hours" not in document.text
    assert document.counters["alternative_words"] == 10


def test_long_addresses_in_the_plain_form_do_not_make_it_say_more() -> None:
    plain = ("text/plain", "Read on <https://x.example/a/b/c?d=e&f=g&h=i&j=k&l=m&n=o&p=q&r=s&t=u>")
    assert "https" not in parse(alternatives(plain, ("text/html", "<p>Read <a href=x>on</a></p>"))).text


def test_all_parts_of_a_mixed_alternative_are_read_in_order() -> None:
    mixed = (
        "multipart/mixed; boundary=m",
        "--m\nContent-Type: text/html\n\n<html><body><p>Before the file.</body></html>\n"
        "--m\nContent-Type: text/csv\nContent-Disposition: attachment; filename=a.csv\n\na,b\n1,2\n"
        "--m\nContent-Type: text/html\n\n<html><body><p>Behind the file.</body></html>\n--m--\n",
    )
    said = outline(parse(alternatives(PLAIN, mixed)))
    assert said[2:4] == [("paragraph", "Before the file."), ("paragraph", "Behind the file.")]
    assert ("heading 1", "Attachment: a.csv") in said


def test_texts_behind_one_another_in_a_mixed_message_are_all_read() -> None:
    made = message(body="First.\n")
    made.make_mixed()
    for kind, content in (("html", "<html><body><p>Second.</body></html>"), ("html", "<p>Third.")):
        part = EmailMessage()
        part.set_content(content, subtype=kind)
        made.attach(part)
    assert said(made) == [("paragraph", "First."), ("paragraph", "Second."), ("paragraph", "Third.")]


def test_a_picture_that_no_text_shows_is_an_attachment() -> None:
    made = message(body="")
    made.set_content("<p>See below.</p>", subtype="html")
    made.add_related(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", cid="<a>", filename="plan.png")
    document = parse(bytes(made))
    assert document.metadata["attachments"] == ["plan.png"]
    assert "Attachments: plan.png" in document.text
    assert document.counters["attachments_not_read"] == 1


def test_a_named_part_is_a_body_where_it_is_one_of_the_forms() -> None:
    document = parse(alternatives(PLAIN, ("text/html; name=body.html", "<p>The lift stops on Monday.</p>")))
    assert document.text.endswith("The lift stops on Monday.")
    assert "attachments" not in document.metadata


def test_a_report_on_delivery_is_read_with_its_reasons() -> None:
    report = (
        "From: mailer@x.example\nSubject: Undelivered\nContent-Type: multipart/report; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nIt did not arrive.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.x.example\n\n"
        "Final-Recipient: rfc822; bob@x.example\nDiagnostic-Code: smtp; 550 no such user\n\n--b--\n"
    )
    assert "Diagnostic-Code: smtp; 550 no such user" in parse(report.encode()).text


def test_soft_line_breaks_are_undone_and_hard_ones_stay() -> None:
    flowed = (
        "From: a@x.example\nSubject: s\nContent-Type: text/plain; format=flowed; delsp=yes\n\n"
        "The docu \nment is here.\n> quoted te \n> xt\n  - indented\n"
    )
    assert outline(parse(flowed.encode()))[2:] == [
        ("paragraph", "The document is here."),
        ("quote", "quoted text"),
        ("list_item 1", "indented"),
    ]


def test_losses_in_an_attached_document_are_losses_of_the_message() -> None:
    inner = message()
    inner.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="plan.png")
    made = message()
    made.add_attachment(bytes(inner), maintype="application", subtype="octet-stream", filename="a.eml")
    assert parse(bytes(made)).counters["attachments_not_read"] == 1
