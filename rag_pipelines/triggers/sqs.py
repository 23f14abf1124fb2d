"""A queue of Amazon SQS, by botocore.

What belongs here: its requests, and its errors as ours. What does not: what messages mean (`messages`).
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from rag_pipelines.config.triggers import SqsTrigger
from rag_pipelines.errors import CredentialError, RagError, TransientError, UsageError
from rag_pipelines.http.statuses import error_of_status
from rag_pipelines.triggers.queue import Message

BATCH = 10
"""Messages of one request, at most (ReceiveMessage, DeleteMessageBatch)."""
LONG_POLL = 1
"""Seconds; without waiting, SQS asks only some of its servers."""

_REGION = re.compile(r"(?:^|\.)sqs\.([a-z0-9-]+)\.")


class SqsQueue:
    """One queue, asked at the host that its URL names. Raises `UsageError` where botocore is missing."""

    def __init__(self, trigger: SqsTrigger) -> None:
        try:
            import botocore.session
            from botocore.config import Config
        except ImportError:
            raise UsageError(
                "reading SQS needs botocore; install it with: pip install 'rag-pipelines[s3]'"
            ) from None
        self._url = trigger.queue
        parts = urlsplit(trigger.queue)
        found = _REGION.search(parts.hostname or "")
        with self._mapped():
            self._client: Any = botocore.session.get_session().create_client(
                "sqs",
                region_name=trigger.region or (found[1] if found else None),
                endpoint_url=f"{parts.scheme}://{parts.netloc}",
                config=Config(
                    connect_timeout=10, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}
                ),
            )

    def receive(self) -> Sequence[Message]:
        """As `Queue.receive`."""
        with self._mapped():
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=LONG_POLL
            )
        return [Message(one["Body"], (one["ReceiptHandle"],)) for one in answer.get("Messages", ())]

    def delete(self, messages: Sequence[Message]) -> None:
        """As `Queue.delete`."""
        entries = [
            {"Id": str(number), "ReceiptHandle": one.receipt[0]} for number, one in enumerate(messages)
        ]
        with self._mapped():
            self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def close(self) -> None:
        """As `Queue.close`."""
        self._client.close()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        from botocore import exceptions as aws

        try:
            yield
        except aws.ClientError as error:
            raise self._refusal(error) from None
        except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
            raise CredentialError(f"{self._url}: {error}") from None
        except aws.NoRegionError:
            raise UsageError(f"{self._url}: no region is known; give `region`") from None
        except aws.BotoCoreError as error:
            raise TransientError(f"{self._url} did not answer: {error}") from None

    def _refusal(self, error: Any) -> RagError:
        said, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        words = f"{self._url} answered {status}: {said.get('Code')}: {said.get('Message')}"
        return error_of_status(status, words) or TransientError(words)
