"""The rich text of Outlook messages: compressed RTF, and the HTML that Outlook wraps in it.

What belongs here: [MS-OXRTFCP] and [MS-OXRTFEX]. What does not: RTF in general (`office.rtf`), messages
(`msg`, `tnef`).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

_HEADER = struct.Struct("<IIII")
_COMPRESSED, _UNCOMPRESSED = 0x75465A4C, 0x414C454D
_WINDOW = 4096
_FIRST_WINDOW = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What the window holds before the first byte ([MS-OXRTFCP] 2.1.2.1)."""

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]+)(?P<number>-?\d{1,9})? ?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z])"
    rb"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)",
    re.S,
)
_FONT = re.compile(rb"\\f(\d{1,5})(?:\\[a-z]+(?:-?\d+)? ?|\{[^{}]*\})*?\\fcharset(\d{1,3})")
_CODE_PAGES = {
    0: "cp1252", 128: "cp932", 129: "cp949", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_CHARACTERS = {
    b"par": "\n", b"line": "\n", b"tab": "\t", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
    b"rdblquote": "”", b"bullet": "•", b"endash": "–", b"emdash": "—",
}  # fmt: skip
_SYMBOLS = {b"~": "\u00a0", b"_": "\u2011", b"-": "", b"{": "{", b"}": "}", b"\\": "\\"}
_SILENT = frozenset({b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict"})


def shown_text(compressed: bytes) -> tuple[str, bool]:
    """The text of the property PidTagRtfCompressed, and whether it is HTML.

    Raises:
        ValueError: see `decompress`.
    """
    rtf = decompress(compressed)
    markup = encapsulated_html(rtf)
    if markup is not None:
        return markup, True
    from striprtf.striprtf import rtf_to_text

    return rtf_to_text(rtf.decode("latin-1"), errors="replace"), False


def decompress(data: bytes) -> bytes:
    """The RTF in the property PidTagRtfCompressed.

    Raises:
        ValueError: it is neither compressed nor uncompressed RTF, or ends too early.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"compressed RTF of {len(data)} bytes, fewer than its header has")
    _, size, kind, _ = _HEADER.unpack_from(data)
    content = data[_HEADER.size :]
    if kind == _UNCOMPRESSED:
        return content[:size]
    if kind != _COMPRESSED:
        raise ValueError(f"compressed RTF of the unknown kind {kind:#x}")
    window = bytearray(_FIRST_WINDOW.ljust(_WINDOW, b"\0"))
    write = len(_FIRST_WINDOW)
    out = bytearray()
    at = 0
    while at < len(content):
        control = content[at]
        at += 1
        for bit in range(8):
            if not control >> bit & 1:
                run = content[at : at + 1]
                at += 1
            else:
                if at + 2 > len(content):
                    raise ValueError("compressed RTF ends inside a reference")
                reference = content[at] << 8 | content[at + 1]
                at += 2
                offset, length = reference >> 4, (reference & 0xF) + 2
                if offset == write:
                    return bytes(out)
                run = _copied(window, offset, length, write)
            for byte in run:
                window[write] = byte
                write = (write + 1) % _WINDOW
            out += run
    return bytes(out)


def _copied(window: bytearray, offset: int, length: int, write: int) -> bytes:
    """The bytes of a reference, which may reach into what it writes itself."""
    ahead = (write - offset) % _WINDOW or _WINDOW
    return bytes(window[(offset + number % ahead) % _WINDOW] for number in range(length))


@dataclass(frozen=True)
class _State:
    """What holds in a group of RTF.

    `silent`: nothing of it is text. `for_rtf`: it repeats for readers of RTF what stands as HTML beside it.
    `is_tag`: it is a piece of HTML. `skipped`: characters that stand in for one in Unicode.
    """

    silent: bool = False
    for_rtf: bool = False
    is_tag: bool = False
    skipped: int = 1
    code_page: str = "cp1252"


def encapsulated_html(rtf: bytes) -> str | None:
    """The HTML from which Outlook made `rtf`; None where it was made from something else."""
    if b"\\fromhtml" not in rtf[:4096]:
        return None
    declared = re.search(rb"\\ansicpg(\d{1,5})", rtf[:4096])
    fonts = {int(font): _CODE_PAGES.get(int(charset), "cp1252") for font, charset in _FONT.findall(rtf)}
    state = _State(code_page=f"cp{int(declared[1])}" if declared else "cp1252")
    outer: list[_State] = []
    parts: list[str] = []
    held = bytearray()
    is_destination = False
    to_skip = 0

    def shown(text: str) -> None:
        if state.is_tag or not (state.silent or state.for_rtf):
            parts.append(text)

    def release() -> None:
        if held:
            shown(_decoded(bytes(held), state.code_page))
            held.clear()

    for token in _TOKEN.finditer(rtf):
        word = token["word"]
        if token["byte"]:
            if to_skip:
                to_skip -= 1
            else:
                held.append(int(token["byte"], 16))
            continue
        release()
        if token["brace"] == b"{":
            outer.append(state)
        elif token["brace"]:
            state = outer.pop() if outer else state
        elif word:
            number = int(token["number"]) if token["number"] else None
            if word == b"htmltag":
                state = replace(state, is_tag=is_destination)
            elif is_destination or word in _SILENT:
                state = replace(state, silent=True)
            elif word == b"htmlrtf":
                state = replace(state, for_rtf=number != 0)
            elif word == b"f" and number in fonts:
                state = replace(state, code_page=fonts[number])
            elif word == b"uc" and number is not None:
                state = replace(state, skipped=max(number, 0))
            elif word == b"u" and number is not None:
                shown(chr(number % 0x10000))
                to_skip = state.skipped
            elif word in _CHARACTERS:
                shown(_CHARACTERS[word])
        elif token["symbol"]:
            shown(_SYMBOLS.get(token["symbol"], ""))
        elif token["text"]:
            text = token["text"][to_skip:]
            to_skip = max(to_skip - len(token["text"]), 0)
            shown(_decoded(text, state.code_page))
        is_destination = token["symbol"] == b"*"
    release()
    return "".join(parts)


def _decoded(data: bytes, code_page: str) -> str:
    try:
        return data.decode(code_page, "replace")
    except LookupError:
        return data.decode("cp1252", "replace")
