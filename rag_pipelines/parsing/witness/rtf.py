r"""The words of RTF documents, by taking their groups apart from the inside.

What belongs here: which destinations a reader does not see. What does not: code pages: a word with a letter
that is stored by its code is not among those a document is held to, one with ``\u`` is.
"""

from __future__ import annotations

import re

_REPLACED = (("\r", ""), ("\n", ""), ("\\\\", " "), ("\\{", " "), ("\\}", " "))
"""Line breaks of the source, and escaped characters, in the order in which they are taken out."""
_NOT_SHOWN = re.compile(
    r"\{\\(?:\*\\(?!shpinst|annotation)|(?:fonttbl|colortbl|stylesheet|info|pict|objdata|listtext|pntext|sp"
    r"|nonshppict|filetbl|revtbl|datafield|fldinst|atnauthor|atnid|atnref|xe|tc|rxe)(?![a-z]))[^{}]*\}"
    r"|\{[^{}]*\\(?:v|deleted)(?![a-z0])[^{}]*\}"
)
"""Destinations of machines, fields, pictures and bullets; groups with hidden or deleted text."""
_GROUP = re.compile(r"\{([^{}]*)\}")
_MOST_NESTED = 100
_UNICODE = re.compile(r"\\u(-?\d{1,6}) ?(?:\\'[0-9a-fA-F]{2}|[^\\{}])?")
_UNICODE_ALONE = re.compile(r"\\u(-?\d{1,6}) ?")
"""Characters with what older readers show in their place, and without (``\\uc0``)."""
_CODE = re.compile(r"\\'[0-9a-fA-F]{2}")
_BREAK = re.compile(r"\\(?:par|pard|line|tab|cell|nestcell|row|nestrow|page|sect|column)(?![a-z])-?\d* ?")
_FORMATTING = re.compile(r"(?<![{*])\\(?!(?:v|deleted)(?![a-z0]))[a-zA-Z][a-zA-Z0-9\\-]*+ ?")
"""Rows of control words that begin no group, which are nearly all of a file."""
_CONTROL = re.compile(r"\\(?:[a-zA-Z]+-?\d* ?|[^a-zA-Z])")
_UNKNOWN = "\ufffd"
_WITH_UNKNOWN = re.compile(rf"(?<!\S)[^\s{_UNKNOWN}]*{_UNKNOWN}\S*")


def text(source: str) -> str:
    """The text of a document whose bytes were taken for Latin-1."""
    shown = source
    for taken_out, left in _REPLACED:
        shown = shown.replace(taken_out, left)
    unicode = _UNICODE_ALONE if "\\uc0" in source else _UNICODE
    shown = unicode.sub(lambda code: chr(int(code[1]) % 0x10000), shown)
    shown = _FORMATTING.sub("\0", _BREAK.sub("\n", _CODE.sub(_UNKNOWN, shown)))
    for _ in range(_MOST_NESTED):
        shown, taken = _NOT_SHOWN.subn("", shown)
        if not taken:
            shown, taken = _GROUP.subn(r"\1", shown)
        if not taken:
            break
    else:
        return ""
    return _WITH_UNKNOWN.sub("", _CONTROL.sub("", shown).replace("\0", ""))
