"""The program of which `test_pace` starts several: requests of one login, as many at once as it may.

python -m rag_pipelines_tests.integration.paced_reader URL DATABASE_URL REQUESTS PER_MINUTE
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from rag_pipelines.connectors.rest import HttpOptions, RestClient
from rag_pipelines.http.credentials import Credential
from rag_pipelines.store.database import Database
from rag_pipelines.store.pace import shared_pace


def main(url: str, database_url: str, requests: str, per_minute: str) -> None:
    """Send the requests."""
    options = HttpOptions(requests_per_minute=int(per_minute), concurrent_loads=8)
    client, database = RestClient(url, options, Credential(url, "Bearer one")), Database(database_url)
    with shared_pace(database), ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda number: client.get_json(f"page/{number}"), range(int(requests))):
            pass
    client.close()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
