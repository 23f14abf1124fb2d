"""What an upgrade has parsed again, or will: in the words of `plan`, `status` and `ingest`."""

from __future__ import annotations

from collections.abc import Mapping

from rag_pipelines.cli.output import number


def format_reparsed(reparsed: Mapping[str, int], equal: int) -> str:
    """What became of documents that other code had parsed, counted by media type; empty if there are none."""
    if not reparsed:
        return ""
    same = "not one came out" if not equal else f"{equal:,} came out"
    return f"{sum(reparsed.values()):,} that other code had parsed ({_by_format(reparsed)}); {same} as before"


def to_parse_again(outdated: Mapping[str, int]) -> str:
    """What the next ingest will parse again, counted by media type."""
    documents = sum(outdated.values())
    were = "was" if documents == 1 else "were"
    return (
        f"{number(documents, 'document')} {were} parsed by other code ({_by_format(outdated)}) and will be "
        "parsed again by the next ingest, from the stored bytes; text that comes out as before is not "
        "embedded again"
    )


def _by_format(counts: Mapping[str, int]) -> str:
    """``pdf 900, docx 304``."""
    from rag_pipelines.parsing.formats import format_name

    by_name: dict[str, int] = {}
    for media_type, count in counts.items():
        name = format_name(media_type)
        by_name[name] = by_name.get(name, 0) + count
    ordered = sorted(by_name.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)
