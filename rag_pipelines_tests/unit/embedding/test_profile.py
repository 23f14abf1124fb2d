"""The embedding profile says what is wrong with it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from rag_pipelines.embedding.profile import EmbeddingProfile


def test_the_default_is_minilm():
    assert EmbeddingProfile().model == "all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"provider": "hash", "api_key": "x"},
            "provider 'hash' does not take api_key; it takes adapter, dimensions",
        ),
        ({"provider": "openai", "dimensions": 8}, "needs 'model'"),
        ({"provider": "openai", "model": "m"}, "needs 'dimensions'"),
        ({"runtime": "openvino", "device": "cuda"}, "use runtime 'torch'"),
        ({"max_tokens": 80}, "does not take max_tokens"),
        ({"provider": "openai", "model": "m", "dimensions": 8, "base_url": "ftp://x"}, "base_url"),
        ({"modle": "x"}, "Extra inputs"),
        ({"precision": "int8"}, "precision"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_the_reason(settings, message):
    with pytest.raises(ValidationError, match=message):
        EmbeddingProfile(**settings)


def test_the_key_is_not_shown():
    profile = EmbeddingProfile(provider="openai", model="m", dimensions=8, api_key="sk-secret")
    assert "sk-secret" not in repr(profile) + profile.model_dump_json()


def test_importing_the_profile_imports_no_model_library():
    code = (
        "import sys, rag_pipelines.embedding.profile, rag_pipelines.embedding.factory\n"
        "heavy = {'torch', 'transformers', 'openvino', 'httpx', 'sentence_transformers', 'tokenizers'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
