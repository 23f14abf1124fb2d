"""Adds samples of what is stored now to ``rag_pipelines_tests/samples/stored``.

    python -m tools.stored_samples

For each kind whose newest sample is not what this code would write in its place (a form is new, or a field
was added to one), the newest sample is read and written again, as one more file. The test
``rag_pipelines_tests/unit/test_stored.py`` says when that is due. Samples that are there are never changed.
"""

from __future__ import annotations

import json

from rag_pipelines_tests.stored_samples import (
    SAMPLES,
    all_forms,
    folder_of,
    number_of,
    samples_of,
    written_now,
)


def main() -> None:
    """Write every sample that is missing."""
    for form in all_forms():
        known = samples_of(form)
        if not known:
            print(f"{form.kind}: there is no sample at all; take one from a database or a file")
            continue
        newest = known[-1]
        written = written_now(form, newest)
        if newest.path.suffix != ".json" or written == newest.value:
            continue
        of_this_form = sum(number_of(sample.path)[0] == form.number for sample in known)
        name = f"{form.number}-{of_this_form + 1}" if of_this_form else f"{form.number}"
        path = folder_of(form) / f"{name}.json"
        path.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.relative_to(SAMPLES))


if __name__ == "__main__":
    main()
