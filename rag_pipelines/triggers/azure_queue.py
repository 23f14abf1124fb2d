"""A storage queue of Azure, by its REST interface and a shared access signature.

What belongs here: its requests, and its errors as ours. What does not: what messages mean (`messages`).
The transport of connectors only reads, so requests are sent here, once: the next drain is another try.
https://learn.microsoft.com/rest/api/storageservices/get-messages
"""

from __future__ import annotations

import base64
from collections.abc import Container, Mapping, Sequence

import requests
from lxml import etree

from rag_pipelines.config.triggers import AzureQueueTrigger
from rag_pipelines.errors import TransientError
from rag_pipelines.http.answers import place_of
from rag_pipelines.http.credentials import Anonymous
from rag_pipelines.http.statuses import error_of_status
from rag_pipelines.triggers.queue import Message

BATCH = 32
"""Messages of one request, at most."""
HIDDEN_SECONDS = 60
"""For which nobody else is given the messages; afterwards they come again."""
_TIMEOUT = (10, 30)
_VERSION = "2021-12-02"


class AzureQueue:
    """One queue. The signature stands in the address, which no message of an error shows."""

    def __init__(self, trigger: AzureQueueTrigger) -> None:
        address, _, self._signature = trigger.url.get_secret_value().partition("?")
        self._messages = f"{address.rstrip('/')}/messages"
        self._session = requests.Session()
        self._session.auth = Anonymous()
        self._session.headers.update({"x-ms-version": _VERSION, "User-Agent": "rag-pipelines"})

    def receive(self) -> Sequence[Message]:
        """As `Queue.receive`."""
        params = {"numofmessages": str(BATCH), "visibilitytimeout": str(HIDDEN_SECONDS)}
        answer = self._exchange("GET", self._messages, params)
        parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
        try:
            found = etree.fromstring(answer.content, parser).iterfind("QueueMessage")
        except etree.XMLSyntaxError as error:
            raise TransientError(f"{self._messages} answered what is not XML: {error}") from None
        return [
            Message(
                _plain(one.findtext("MessageText") or ""), (_text(one, "MessageId"), _text(one, "PopReceipt"))
            )
            for one in found
        ]

    def delete(self, messages: Sequence[Message]) -> None:
        """As `Queue.delete`."""
        for message in messages:
            identity, receipt = message.receipt
            self._exchange("DELETE", f"{self._messages}/{identity}", {"popreceipt": receipt}, passed={404})

    def close(self) -> None:
        """As `Queue.close`."""
        self._session.close()

    def _exchange(
        self, method: str, url: str, params: Mapping[str, str], passed: Container[int] = ()
    ) -> requests.Response:
        """The answer. Errors of the library are replaced, not chained: they show the signature."""
        try:
            answer = self._session.request(
                method, f"{url}?{self._signature}", params=params, timeout=_TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            raise TransientError(f"{place_of(url)} did not answer: {type(error).__name__}") from None
        fault = error_of_status(answer.status_code, f"{place_of(url)} answered {answer.status_code}")
        if fault is not None and answer.status_code not in passed:
            raise fault
        return answer


def _text(message: etree._Element, name: str) -> str:
    return message.findtext(name) or ""


def _plain(text: str) -> str:
    """A message's text; Event Grid writes it in Base64."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text
