"""The forms of what is stored: how values are written so that later code reads them.

What belongs here: the convention, and what a reader does with an older or a newer form. What does not: any
kind of value; each defines its own `Form` beside its type, with what makes its older forms the present one.

A stored value is a mapping that names the number of its form under ``format``; without one it is of the first
form, from before forms were numbered. Adding a field that has a default is no new form: readers ignore what
they do not know, and what is missing has its default. Anything else (a field renamed, moved, retired with a
meaning, a value of an enumeration renamed) is one: add a function to `upgrades` that makes it of the form
before, and a sample to ``rag_pipelines_tests/samples/stored``; a test says what is missing there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from rag_pipelines import __version__
from rag_pipelines.errors import StoredFormError

T = TypeVar("T")
Stored = Mapping[str, Any]
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

FORMAT = "format"
"""The key of the number. No stored type has a field of this name."""


def split_form(values: Stored) -> tuple[int, dict[str, Any]]:
    """The number of a form that a row keeps in one of its columns, and what else that column holds."""
    return values.get(FORMAT, 1), {name: value for name, value in values.items() if name != FORMAT}


class Form(Generic[T]):
    """How values of one kind are stored.

    Args:
        kind: what it is called in messages, and the folder of its samples.
        type: what is read: a struct, or ``dict[str, Any]`` for notes that people read.
        upgrades: the first makes the second form of the first, and so on.
    """

    def __init__(self, kind: str, type: type[T], upgrades: tuple[Upgrade, ...] = ()) -> None:
        self.kind = kind
        self.type = type
        self.upgrades = upgrades

    @property
    def number(self) -> int:
        """The number of the form that is written."""
        return len(self.upgrades) + 1

    def encode(self, value: T) -> dict[str, Any]:
        """`value` as JSON has it, with the number of its form."""
        plain = value if isinstance(value, dict) else msgspec.to_builtins(value)
        return {FORMAT: self.number, **plain}

    def decode(self, stored: Stored) -> T:
        """The value that was stored, in whatever form.

        Raises:
            StoredFormError: the form is newer than this code, or the value is of none.
        """
        _, values = split_form(stored)
        for upgrade in self.upgrades[self._number_of(stored) - 1 :]:
            values = upgrade(values)
        try:
            return msgspec.convert(values, self.type)
        except msgspec.ValidationError as error:
            raise StoredFormError(f"the stored {self.kind} cannot be read: {error}") from error

    def _number_of(self, stored: Stored) -> int:
        number = stored.get(FORMAT, 1)
        if not isinstance(number, int) or number < 1:
            raise StoredFormError(
                f"the stored {self.kind} names {number!r} as its form; forms are numbered from 1"
            )
        if number > self.number:
            raise StoredFormError(
                f"the stored {self.kind} is of form {number}, and rag_pipelines {__version__} reads forms up "
                f"to {self.number}: a newer release stored it; use that release or a later one"
            )
        return number
