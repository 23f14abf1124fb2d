"""Access sidecars: small YAML files that say who may see the files beside and below them.

What belongs here: the format, and how the sidecars above a file combine into its rule. What does
not: finding files (the connector), default access of a source (the engine), checking callers.

``.access.yaml`` governs its folder and everything below; ``NAME.access.yaml`` governs the file NAME.

    allow: [group:hr, user:ann@example.com]   any one of these (an empty list: nobody)
    all_of: [[group:hr], [group:managers]]    one of each list
    public: true                              everyone of the tenant; stands instead of allow and all_of
    deny: [group:contractors]                 none of these; narrows a rule, never makes one
    tenant: acme                              the tenant of the files; the nearest one counts
    inherit: false                            forget the rules of the folders above

A file must satisfy every sidecar above it, so a deeper one narrows unless it says ``inherit: false``.
A sidecar that cannot be read or understood closes what it governs: unknown access is closed access.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import msgspec

from rag_pipelines.errors import CorruptDocumentError, FetchError, RagError
from rag_pipelines.model import CLOSED, AccessRule

SIDECAR_SUFFIX = ".access.yaml"
MAX_SIDECAR_BYTES = 65_536


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of one sidecar file."""

    allow: tuple[str, ...] | None = None
    all_of: tuple[tuple[str, ...], ...] | None = None
    deny: tuple[str, ...] = ()
    public: bool = False
    tenant: str | None = None
    inherit: bool = True


class Access(msgspec.Struct, frozen=True):
    """What the sidecars say at one place; `rule` None means nothing, so the source's default holds."""

    rule: AccessRule | None = None
    tenant: str | None = None


def conjunction(*rules: AccessRule | None) -> AccessRule | None:
    """The rule that a caller meets who meets all of `rules`; None stands for no rule."""
    known = [rule for rule in rules if rule is not None]
    if not known:
        return None
    return AccessRule(
        clauses=tuple(clause for rule in known for clause in rule.clauses),
        deny=tuple(principal for rule in known for principal in rule.deny),
    ).normalised()


def narrow(outer: Access, sidecar: Sidecar) -> Access:
    """`outer` with `sidecar` applied. Raises `CorruptDocumentError` where that has no safe meaning."""
    inherited = outer.rule if sidecar.inherit else None
    speaks = sidecar.public or sidecar.allow is not None or sidecar.all_of is not None
    if not speaks and (sidecar.deny or not sidecar.inherit) and inherited is None:
        raise CorruptDocumentError(
            "deny and inherit: false need a rule to apply to; add 'public: true', 'allow' or 'all_of'"
        )
    own = None
    if speaks or sidecar.deny:
        allow = () if sidecar.allow is None else (sidecar.allow,)
        own = AccessRule(allow + (sidecar.all_of or ()), sidecar.deny)
    return Access(conjunction(inherited, own), sidecar.tenant or outer.tenant)


def both(first: Access, second: Access) -> Access:
    """What holds for a file that is reached by two ways (a link): both; closed if tenants differ."""
    tenant = first.tenant or second.tenant
    if second.tenant not in (None, tenant):
        return Access(CLOSED, tenant)
    return Access(conjunction(first.rule, second.rule), tenant)


@lru_cache(maxsize=1024)
def parse_sidecar(data: bytes) -> Sidecar:
    """The sidecar in `data`. Raises `CorruptDocumentError` saying what is wrong and what is valid."""
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML without aliases, which let a small file expand into a huge one."""

        def compose_node(self, parent, index):
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not allowed")
            return super().compose_node(parent, index)

    if len(data) > MAX_SIDECAR_BYTES:
        raise CorruptDocumentError(f"an access sidecar has at most {MAX_SIDECAR_BYTES:,} bytes")
    valid = f"valid are {', '.join(Sidecar.__struct_fields__)}"
    try:
        sidecar = msgspec.convert(yaml.load(data, Loader), Sidecar)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise CorruptDocumentError(f"not a valid access sidecar: {error}; {valid}") from error
    if sidecar == Sidecar():
        raise CorruptDocumentError(f"an access sidecar that says nothing; {valid}")
    check_sidecar(sidecar)
    return sidecar


def check_sidecar(sidecar: Sidecar) -> None:
    """Raise `CorruptDocumentError` where what it says contradicts itself, or names nobody."""
    if sidecar.public and (sidecar.allow is not None or sidecar.all_of is not None):
        raise CorruptDocumentError("public: true contradicts allow and all_of; keep one of them")
    if sidecar.all_of == ():
        raise CorruptDocumentError(
            "all_of is empty; list at least one list of principals, or use 'public: true'"
        )
    named = (*(sidecar.allow or ()), *sidecar.deny, *(p for clause in sidecar.all_of or () for p in clause))
    if not all(principal.strip() for principal in named) or sidecar.tenant == "":
        raise CorruptDocumentError("a principal or tenant is an empty string; name it or remove it")


class SidecarTree:
    """The access of every folder and file of one listing; each folder's sidecar is read once.

    Args:
        read: the bytes of the file at a path relative to the root, or None where there is nothing.
            Any `RagError` it raises closes what the sidecar governs.
        report: called once for each sidecar that cannot be used, with its path and the error.
    """

    def __init__(self, read: Callable[[str], bytes | None], report: Callable[[str, RagError], None]) -> None:
        self._read = read
        self._report = report
        self._folders: dict[str, Access] = {}
        self._reported: set[str] = set()

    def folder(self, folder: str, *, seen: bool | None = None) -> Access:
        """What holds in `folder` ("" is the root). `seen`: whether its sidecar was listed; None: look."""
        if folder in self._folders:
            return self._folders[folder]
        access = Access()
        for prefix in _prefixes(folder):
            if prefix not in self._folders:
                sidecar = f"{prefix}/{SIDECAR_SUFFIX}" if prefix else SIDECAR_SUFFIX
                self._folders[prefix] = self._apply(access, sidecar, seen if prefix == folder else None)
            access = self._folders[prefix]
        return access

    def file(self, path: str, *, seen: bool | None = None) -> Access:
        """What holds for the file at `path`; `seen` as in `folder`."""
        return self._apply(self.folder(path.rpartition("/")[0]), path + SIDECAR_SUFFIX, seen)

    def _apply(self, outer: Access, sidecar: str, seen: bool | None) -> Access:
        if seen is False:
            return outer
        try:
            data = self._read(sidecar)
            if data is not None:
                return narrow(outer, parse_sidecar(data))
            if seen is None:
                return outer
            raise FetchError(f"the access sidecar {sidecar!r} vanished while it was being read")
        except RagError as error:
            if sidecar not in self._reported:
                self._reported.add(sidecar)
                self._report(sidecar, error)
            return Access(CLOSED, outer.tenant)


def _prefixes(folder: str) -> Iterator[str]:
    """The folders from the root down to `folder`: "", "a", "a/b" for "a/b"."""
    yield ""
    at = folder.find("/")
    while at != -1:
        yield folder[:at]
        at = folder.find("/", at + 1)
    if folder:
        yield folder
