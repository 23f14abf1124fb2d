"""Keys, tokens and passwords: their forms.

What belongs here: patterns; those of vendors follow detect-secrets (Apache 2.0) and what the vendors say.
What does not: anything that is personal data.

Where a pattern has the group ``value``, only that is the secret.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode

from rag_pipelines.privacy.kinds import Kind

KEY_BEGINS = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{0,80}-----")
KEY_BODY = re.compile(r"[A-Za-z0-9+/=\s]{0,30000}")
LONGEST_KEY = 30_000

VENDORS: tuple[tuple[Kind, str, re.Pattern[str]], ...] = (
    (
        Kind.CLOUD_KEY,
        "A",
        re.compile(r"(?<![A-Z0-9])(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    ),
    (
        Kind.CLOUD_KEY,
        "",
        re.compile(r"(?i)\baws[\w .\"'-]{0,30}[\"'=:\s]{1,4}(?P<value>[0-9a-zA-Z/+]{40})(?![0-9a-zA-Z/+=])"),
    ),
    (Kind.CLOUD_KEY, "AIza", re.compile(r"(?<![\w-])AIza[\w-]{35}(?![\w-])")),
    (Kind.CLOUD_KEY, "AccountKey=", re.compile(r"AccountKey=(?P<value>[A-Za-z0-9+/]{86}==)")),
    (
        Kind.TOKEN,
        "gh",
        re.compile(r"(?<!\w)(?:gh[opusr]_[A-Za-z0-9_]{36,255}|github_pat_[A-Za-z0-9_]{22,255})"),
    ),
    (Kind.TOKEN, "glpat-", re.compile(r"(?<![\w-])glpat-[\w-]{20,64}")),
    (Kind.TOKEN, "xox", re.compile(r"(?<!\w)xox[abposr]-(?:\d{1,20}-){1,4}[A-Za-z0-9]{8,100}")),
    (
        Kind.TOKEN,
        "hooks.slack.com",
        re.compile(r"https://hooks\.slack\.com/services/T\w{1,20}/B\w{1,20}/(?P<value>\w{8,60})"),
    ),
    (Kind.TOKEN, "k_live_", re.compile(r"(?<!\w)[rs]k_live_[0-9a-zA-Z]{24,99}")),
    (Kind.TOKEN, "T3BlbkFJ", re.compile(r"(?<![\w-])sk-[\w-]{0,100}T3BlbkFJ[\w-]{20,100}")),
    (Kind.TOKEN, "npm_", re.compile(r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)")),
    (Kind.TOKEN, "pypi-AgE", re.compile(r"(?<![\w-])pypi-AgE[\w-]{50,1000}")),
    (Kind.TOKEN, "SG.", re.compile(r"(?<!\w)SG\.[\w-]{22}\.[\w-]{43}(?![\w-])")),
)
"""Kind, a piece of text without which there is no match, and the form."""

JWT = re.compile(r"(?<![\w-])eyJ[\w-]{5,4000}\.[\w-]{2,8000}\.[\w-]{0,2000}")

ASSIGNMENT = re.compile(
    r"(?i)(?:passwor[dt]|passwd|\bpwd|passphrase|kennwort|contraseña|mot de passe|client[_-]?secret"
    r"|secret[_-]?key|api[_-]?key|auth[_-]?token|access[_-]?token|\bsecret)[\w-]{0,20}[\"'\]]{0,2}\s{0,3}(?::=|=>|==?|:)\s{0,3}[\"']?"
    r"(?P<value>[^\s\"',;<>]{6,200})"
)
LOGIN = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:(?P<value>[^\s:/@]{3,200})@")

_PLACEHOLDER = re.compile(
    r"(?i)[\[{$<%*(]|x{4,}$|\.{3}|\*{3,}|your|example|changeme|redacted|placeholder|os\.|env\."
)


def is_jwt(text: str) -> bool:
    """Whether the head of a JSON Web Token can be read (RFC 7519)."""
    head = text.partition(".")[0]
    try:
        return "alg" in json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, TypeError):
        return False


def looks_secret(value: str) -> bool:
    """Whether what a password is said to be may be one: not a word of prose, and no reference to one."""
    if _PLACEHOLDER.match(value):
        return False
    classes = (str.isdigit, str.islower, str.isupper, lambda sign: not sign.isalnum())
    plain = value.rstrip(".!?)")
    held = sum(any(map(one, plain)) for one in classes)
    return held >= 3 or (held == 2 and any(map(str.isdigit, plain)))
