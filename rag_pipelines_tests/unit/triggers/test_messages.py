"""What messages of queues name, in the shapes that S3, SNS, EventBridge and Event Grid give them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.triggers.messages import named_objects


def s3_event(*keys: str) -> dict[str, Any]:
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "acme"}, "object": {"key": key}}}
        for key in keys
    ]
    return {"Records": records}


def sns(message: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "TopicArn": "arn:aws:sns:eu-central-1:1:docs",
        "Message": json.dumps(message),
    }


BRIDGED = {
    "detail-type": "Object Deleted",
    "source": "aws.s3",
    "detail": {"bucket": {"name": "acme"}, "object": {"key": "reports/a+b c.pdf"}},
}
BLOB = "https://acme.blob.core.windows.net/docs/a.pdf"
GRID = {
    "eventType": "Microsoft.Storage.BlobCreated",
    "subject": "/blobServices/default",
    "data": {"url": BLOB},
}
CLOUD = {"specversion": "1.0", "type": "Microsoft.Storage.BlobDeleted", "data": {"url": BLOB}}


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (s3_event("reports/a%2Bb+c.pdf"), ["acme/reports/a+b c.pdf"]),
        (s3_event("a.pdf", "b.pdf", "a.pdf"), ["acme/a.pdf", "acme/b.pdf"]),
        (sns(s3_event("a.pdf")), ["acme/a.pdf"]),
        (BRIDGED, ["acme/reports/a+b c.pdf"]),
        (sns(BRIDGED), ["acme/reports/a+b c.pdf"]),
        (GRID, [BLOB]),
        ([GRID, CLOUD], [BLOB]),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "acme"}, []),
    ],
)
def test_the_objects_of_an_event_are_named(message: Any, named: list[str]) -> None:
    assert named_objects(json.dumps(message)) == named


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "7", '{"Records": 7}', "[" * 100_000])
def test_what_cannot_be_read_hints_at_nothing_in_particular(body: str) -> None:
    assert named_objects(body) == [None]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Records",
                    "s3",
                    "bucket",
                    "object",
                    "key",
                    "name",
                    "detail",
                    "data",
                    "url",
                    "Message",
                    "Event",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON | st.builds(sns, JSON))
def test_no_message_is_refused(message: Any) -> None:
    assert all(key is None or isinstance(key, str) for key in named_objects(json.dumps(message)))
