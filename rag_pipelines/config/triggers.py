"""The settings of what starts a run sooner: queues that are drained, and notifications that are received.

What belongs here: fields, defaults and bounds of a source's `triggers`. What does not: reading a queue
(`rag_pipelines.triggers`), and receiving (`serving.events`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator

from rag_pipelines.config.section import Section


def _long_enough(value: SecretStr) -> SecretStr:
    if not 16 <= len(value.get_secret_value()) <= 128:
        raise ValueError("16 to 128 characters that nobody can guess, such as `openssl rand -hex 32` makes")
    return value


class SqsTrigger(Section):
    """A queue of Amazon SQS that the bucket's event notifications go to, directly, by SNS or by EventBridge.

    `queue` is its URL. The login is found as by every program for AWS (environment, profile, role), and so is
    the region where neither `region` nor the URL says it.
    """

    queue: Annotated[str, Field(pattern=r"^https?://[^/\s]+/\S+$")]
    region: str | None = None


class AzureQueueTrigger(Section):
    """A storage queue of Azure that Event Grid sends a container's events to.

    `url` is the queue's address with a shared access signature that may process its messages
    (``https://ACCOUNT.queue.core.windows.net/QUEUE?sv=...&sp=p&sig=...``).
    """

    url: SecretStr

    @field_validator("url")
    @classmethod
    def _signed(cls, value: SecretStr) -> SecretStr:
        address, _, signature = value.get_secret_value().partition("?")
        if not address.startswith(("https://", "http://")) or "sig=" not in signature:
            raise ValueError("the https address of a queue with its signature (?sv=...&sig=...)")
        return value


QueueTrigger = SqsTrigger | AzureQueueTrigger


class WebhookTrigger(Section):
    """Notifications of Microsoft Graph or Google Drive at ``POST /events/SOURCE`` of the HTTP service.

    `secret` is what the subscription was made with: Graph's ``clientState``, Drive's ``token``. With the
    `address` at which vendors reach the HTTP service, ``rag-pipelines source subscribe`` makes subscriptions
    and renews them.
    """

    secret: Annotated[SecretStr, AfterValidator(_long_enough)]
    address: Annotated[str, Field(pattern=r"^https://[^/\s?#@]+(/[^\s?#]*)?$")] | None = None


class TriggerSettings(Section):
    """What starts a run of a source before it is due. A message only starts it; the run asks the source."""

    sqs: SqsTrigger | None = None
    azure_queue: AzureQueueTrigger | None = None
    webhook: WebhookTrigger | None = None

    @property
    def queues(self) -> list[QueueTrigger]:
        """Those that are drained."""
        return [queue for queue in (self.sqs, self.azure_queue) if queue is not None]
