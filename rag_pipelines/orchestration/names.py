"""Names of jobs, by which schedules, sensors and people start them."""

from __future__ import annotations

INGEST_SOURCE = "ingest_source"


BUILD_INDEX = "build_index"


VERIFY_SOURCE = "verify_source"
