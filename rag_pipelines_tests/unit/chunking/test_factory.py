"""Profiles that cannot work are refused with every problem at once; fingerprints cover what matters."""

from __future__ import annotations

import msgspec
import pytest

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.chunking.factory import make_chunker
from rag_pipelines.chunking.fingerprints import STRATEGIES, chunker_codes, chunker_fingerprint, chunker_stage
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.errors import ConfigError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.provenance.package import this_package

TOKENIZER = load_tokenizer(TokenizerSpec("characters", 256, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ChunkOptions(max_tokens=512), "max_tokens is 512; the embedding model reads at most 256"),
        (ChunkOptions(max_tokens=10), "max_tokens is 10, of which the model takes 2 itself; at least 18"),
        (ChunkOptions(min_tokens=200), "min_tokens is 200; it must be from 0 to 127"),
        (ChunkOptions(overlap_tokens=-1), "overlap_tokens is -1; it must be from 0 to 127"),
        (ChunkOptions(semantic_percentile=100), "semantic_percentile is 100; it must be between 0 and 100"),
        (ChunkOptions("semantic"), "needs a sentence embedder"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_the_reason(options, message):
    with pytest.raises(ConfigError, match=message):
        make_chunker(options, TOKENIZER)


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        make_chunker(ChunkOptions(min_tokens=200, overlap_tokens=200), TOKENIZER)
    assert len(caught.value.problems) == 2


def test_every_parameter_and_the_tokenizer_are_in_the_fingerprint():
    variants = [
        chunker_fingerprint(options, tokenizer.fingerprint)
        for options, tokenizer in [
            (ChunkOptions(), TOKENIZER),
            (ChunkOptions("recursive"), TOKENIZER),
            (ChunkOptions("tokens"), TOKENIZER),
            (ChunkOptions(max_tokens=128), TOKENIZER),
            (ChunkOptions(min_tokens=0), TOKENIZER),
            (ChunkOptions(context=()), TOKENIZER),
            (ChunkOptions(whole_document=True), TOKENIZER),
            (ChunkOptions(), load_tokenizer(TokenizerSpec("bytes", 256, 2))),
        ]
    ]
    assert len(set(variants)) == len(variants)


def test_a_fingerprint_is_of_the_code_its_options_and_the_tokenizer():
    """And of nothing else, else all would be cut again that comes out the same."""
    options, tokenizer = ChunkOptions(), TOKENIZER.fingerprint
    code = chunker_codes()["structure"]
    assert chunker_fingerprint(options, tokenizer) == fingerprint(
        [code, msgspec.to_builtins(options), tokenizer]
    )


def test_a_strategy_is_what_its_module_reaches_and_no_other_strategy():
    reached = {name: set(this_package().members(chunker_stage(name).modules)) for name in STRATEGIES}
    for name, module in STRATEGIES.items():
        rooms = {f"rag_pipelines.chunking.{other}" for other in STRATEGIES.values()}
        assert reached[name] & rooms == {f"rag_pipelines.chunking.{module}"}
        assert {"rag_pipelines.chunking.body", "rag_pipelines.text.boundaries"} <= reached[name]
