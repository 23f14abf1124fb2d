"""Bytes to text: byte order marks, declared encodings, and a guess where there is neither.

What belongs here: finding the encoding of text in bytes, and names of encodings. What does not: cleaning the
text (`text.canonical`) or deciding what format it is (`detect`).
"""

from __future__ import annotations

import codecs
import re

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 first: its little-endian mark begins with that of UTF-16."""

_LATIN_1_NAMES = frozenset({"ascii", "iso8859-1"})
"""Read as Windows-1252, a superset that is what such documents hold (WHATWG Encoding, section 4.2)."""

_UNSAFE = frozenset({"utf-7", "unicode-escape", "raw-unicode-escape", "idna", "punycode", "mbcs", "oem"})
"""Codecs that hide one text inside another, or depend on the machine."""

_GUESSES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r",
    "shift_jis", "cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "cp949", "tis_620",
]  # fmt: skip
_CODE_PAGES = {
    932: "cp932",
    936: "gb18030",
    949: "cp949",
    1361: "johab",
    10000: "mac_roman",
    10006: "mac_greek",
    10007: "mac_cyrillic",
    10029: "mac_latin2",
    10079: "mac_iceland",
    10081: "mac_turkish",
    20127: "ascii",
    20866: "koi8_r",
    20932: "euc_jp",
    20936: "gb2312",
    21866: "koi8_u",
    28591: "cp1252",
    **{28590 + part: f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 13, 15)},
    38598: "iso8859_8",
    50220: "iso2022_jp",
    50221: "iso2022_jp_ext",
    50222: "iso2022_jp",
    50225: "iso2022_kr",
    51932: "euc_jp",
    51936: "gb2312",
    51949: "euc_kr",
    52936: "hz",
    54936: "gb18030",
    65001: "utf-8",
}
"""Code pages of Windows that Python knows under another name; of some the wider one that programs write."""

_EBCDIC_SPACE = b"\x40"
_EBCDIC_LETTERS = bytes(
    byte
    for first in (0x81, 0x91, 0xA2, 0xC1, 0xD1, 0xE2, 0xF0)
    for byte in range(first, (first & 0xF0) + 0x0A)
)
"""Letters and figures, which stand in the same places in all its Latin code pages."""
_EBCDIC_TEXT = _EBCDIC_LETTERS + bytes(
    [*range(0x40, 0x80), 0x05, 0x0C, 0x0D, 0x15, 0x25, 0xA1, 0xC0, 0xD0, 0xE0]
)
_FEWEST_LETTERS, _SHARE_OF_LETTERS = 24, 0.6
_RECORD_SIZES = (80, 132, 133, 121, 137, 120, 72, 100, 160, 256)
_PRINTER_SIGNS = {"": "", " ": "", "0": "\n", "-": "\n\n", "1": "\f", "+": ""}
"""Of ASA (ANSI X3.78): what comes before a line."""
_WITHIN_WORD = re.compile(r"(?<=[^\W\d_])[^\W\d_a-zA-Z](?=[^\W\d_])")

_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:-]+)", re.I)
_SAMPLE = 65_536
_HIGH_RUNS = re.compile(rb"[\x80-\xff]+")
_HIGH_RUN_OF_LATIN = 3
_ODD_IN_LATIN = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_MIN_UTF8_SHARE = 0.5


def decode(data: bytes, declared: str | None = None) -> str:
    """`data` as text, with no replacement character that the source does not hold.

    In order: a byte order mark, UTF-16 and UTF-32 recognised by their zero bytes, EBCDIC recognised by its
    letters and spaces, UTF-8 (bytes that
    pass for it by chance are rarer than a wrong declaration), the `declared` encoding if it decodes
    every byte, UTF-8 with stray Windows-1252 bytes, and last a guess.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode_marked(data[len(mark) :], encoding)
    wide = wide_encoding(data)
    if wide:
        return _decode_marked(data, wide)
    mainframe = ebcdic(data)
    if mainframe:
        return of_mainframe(data, mainframe)
    codec = safe_codec(declared)
    seven_bit = codec is not None and codec.startswith(("iso2022", "hz"))
    for candidate in (codec, "utf-8") if seven_bit else ("utf-8", codec):
        if candidate:
            try:
                return data.decode(candidate)
            except UnicodeError:
                continue
    return _decode_mixed(data) or data.decode(_guess(data), errors="windows_1252_or_latin_1")


def safe_codec(name: str | None) -> str | None:
    """The Python codec of an encoding's name from outside, or None where it is unknown or unsafe."""
    if not name:
        return None
    try:
        codec = codecs.lookup(name.strip().strip("\"'"))
    except (LookupError, ValueError):
        return None
    if not getattr(codec, "_is_text_encoding", True) or codec.name.replace("_", "-") in _UNSAFE:
        return None
    if codec.name.startswith(("utf-16", "utf-32")):
        return None
    return "cp1252" if codec.name in _LATIN_1_NAMES else codec.name


def charset_of(declared_type: str | None) -> str | None:
    """The charset parameter of a declared media type such as ``text/html; charset=utf-8``."""
    match = _CHARSET.search(declared_type or "")
    return match[1] if match else None


def wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, known by where the zero bytes of its Latin letters stand."""
    sample = data[:4096]
    sample = sample[: len(sample) // 4 * 4]
    if b"\0" not in sample:
        return None
    zero = [sample[offset::4].count(0) * 4 / len(sample) for offset in range(4)]
    if min(zero[2:]) > 0.9 and zero[0] < 0.2:
        return "utf-32-le"
    if min(zero[:2]) > 0.9 and zero[3] < 0.2:
        return "utf-32-be"
    even, odd = (zero[0] + zero[2]) / 2, (zero[1] + zero[3]) / 2
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    if even > 0.4 and odd < 0.05:
        return "utf-16-be"
    return None


def code_page(number: int) -> str | None:
    """The Python codec of a code page of Windows, or None where there is none."""
    return safe_codec(_CODE_PAGES.get(number) or f"cp{number}")


def ebcdic(data: bytes) -> str | None:
    """The codec of text from a mainframe (EBCDIC), known by where its spaces, letters and figures are.

    Its code pages differ in signs and national letters: the German one is told by its letters within words.
    """
    sample = data[:_SAMPLE]
    spaces = sample.count(_EBCDIC_SPACE)
    if spaces < 0.03 * len(sample) or sample.count(b" ") > 0.01 * len(sample):
        return None
    if len(sample.translate(None, _EBCDIC_TEXT)) > 0.15 * len(sample):
        return None
    letters = len(sample) - len(sample.translate(None, _EBCDIC_LETTERS))
    if letters < max(_FEWEST_LETTERS, _SHARE_OF_LETTERS * (len(sample) - spaces)):
        return None
    german, other = (len(_WITHIN_WORD.findall(sample.decode(codec))) for codec in ("cp273", "cp1140"))
    return "cp273" if german > other else "cp1140"


def of_mainframe(data: bytes, codec: str) -> str:
    """EBCDIC as text; records of fixed length are lines, and signs for the printer blank lines and pages."""
    text = data.decode(codec).replace("\x85", "\n")
    if "\n" in text:
        return text
    size = next((size for size in _RECORD_SIZES if _is_record_size(text, size)), 0)
    if not size:
        return text
    lines = [text[at : at + size].rstrip() for at in range(0, len(text), size)]
    if all(line[:1] in _PRINTER_SIGNS for line in lines):
        lines = [_PRINTER_SIGNS[line[:1]] + line[1:] for line in lines]
    return "\n".join(lines)


def _is_record_size(text: str, size: int) -> bool:
    """Whether `text` consists of records of so many characters, most of which end with a space."""
    ends = text[size - 1 :: size]
    return len(text) % size == 0 and len(ends) > 1 and ends.count(" ") > 0.6 * len(ends)


def _decode_marked(data: bytes, encoding: str) -> str:
    """Decode where the encoding is certain: a bad sequence then is the source's own fault and shows."""
    return data.decode(encoding, errors="windows_1252_or_latin_1" if encoding == "utf-8" else "replace")


def _decode_mixed(data: bytes) -> str | None:
    """UTF-8 with some stray bytes of Windows-1252, or None where most high bytes are not UTF-8."""
    runs = _HIGH_RUNS.findall(data)
    good = sum(1 for run in runs if _is_utf8(run))
    return _decode_marked(data, "utf-8") if good >= _MIN_UTF8_SHARE * len(runs) else None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess(data: bytes) -> str:
    """The likeliest legacy encoding.

    Short runs of high bytes between ASCII letters are Western European text, for which a statistical
    guess needs more words than a short document has; everything else is left to charset-normalizer.
    """
    sample = data[:_SAMPLE]
    runs = _HIGH_RUNS.findall(sample)
    if runs and not _ODD_IN_LATIN.search(sample):
        high = sum(map(len, runs))
        if high * 3 < len(sample) and high < _HIGH_RUN_OF_LATIN * len(runs) and _looks_western(sample):
            return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_GUESSES).best()
    return best.encoding if best else "cp1252"


def _looks_western(sample: bytes) -> bool:
    """Whether most high bytes, read as Windows-1252, are letters and marks of Western European text."""
    high = [char for char in sample.decode("cp1252", "ignore") if ord(char) > 127]
    usual = sum(char in _WESTERN for char in high)
    return usual >= 0.9 * len(high)


_WESTERN = frozenset("ÀÁÂÄÅÆÇÈÉÊËÍÎÏÑÓÔÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüœ€‚„…‘’“”•–—™«»°·§©®´¿¡£²³½\xa0")


def _stray_byte(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: each undecodable byte as Windows-1252, or as Latin-1 where that has a gap."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in stray), error.end


codecs.register_error("windows_1252_or_latin_1", _stray_byte)
