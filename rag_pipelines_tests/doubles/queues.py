"""Queues of Amazon SQS and Azure Storage: receiving hides messages, deleting needs the receipt.

What belongs here: the two protocols over one list of messages. What does not: what messages say.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
https://learn.microsoft.com/rest/api/storageservices/get-messages
"""

from __future__ import annotations

import base64
import json
from html import escape
from typing import Any

from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer

SIGNATURE = "sv=2021-12-02&sp=p&sig=a%2Bb%3D"


class QueueServer(Server):
    """One queue, spoken to by either protocol; `waiting` are its messages by their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.route("/", self._sqs, "POST")
        self.route("/docs/messages", self._azure_receive)
        self.route("/docs/messages/{number}", self._azure_delete, "DELETE")

    @property
    def sqs_url(self) -> str:
        """As SQS names a queue."""
        return f"{self.origin}/123456789012/docs"

    @property
    def azure_url(self) -> str:
        """With its signature."""
        return f"{self.origin}/docs?{SIGNATURE}"

    def send(self, *messages: Any) -> None:
        """Put messages into the queue, as JSON."""
        for message in messages:
            self.waiting[str(len(self.waiting))] = json.dumps(message)

    def show_again(self) -> None:
        """The time for which messages are hidden is over."""
        self.hidden.clear()

    def _take(self, most: int) -> dict[str, str]:
        visible = [number for number in self.waiting if number not in self.hidden][:most]
        self.hidden |= set(visible)
        return {number: self.waiting[number] for number in visible}

    def _sqs(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if "Credential=" not in request.headers["Authorization"] or asked["QueueUrl"] != self.sqs_url:
            return json_answer(
                {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}, 400
            )
        if request.headers["X-Amz-Target"] == "AmazonSQS.ReceiveMessage":
            taken = self._take(asked["MaxNumberOfMessages"])
            messages = [{"MessageId": n, "ReceiptHandle": f"r{n}", "Body": body} for n, body in taken.items()]
            return json_answer({"Messages": messages} if messages else {})
        for entry in asked["Entries"]:
            self.waiting.pop(entry["ReceiptHandle"].removeprefix("r"), None)
        done = [{"Id": entry["Id"]} for entry in asked["Entries"]]
        return json_answer({"Successful": done, "Failed": []})

    def _azure_receive(self, request: Request) -> Answer:
        if not self._signed(request):
            return Answer(403)
        messages = "".join(
            f"<QueueMessage><MessageId>{number}</MessageId><PopReceipt>r+{number}</PopReceipt>"
            f"<MessageText>{escape(base64.b64encode(body.encode()).decode())}</MessageText></QueueMessage>"
            for number, body in self._take(request.number("numofmessages", 1)).items()
        )
        body = f'<?xml version="1.0" encoding="utf-8"?><QueueMessagesList>{messages}</QueueMessagesList>'
        return Answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _azure_delete(self, request: Request, number: str) -> Answer:
        if not self._signed(request):
            return Answer(403)
        if number not in self.waiting or request.one("popreceipt") != f"r+{number}":
            return Answer(404)
        del self.waiting[number]
        return Answer(204)

    def _signed(self, request: Request) -> bool:
        return request.one("sig") == "a+b=" and request.one("sp") == "p"
