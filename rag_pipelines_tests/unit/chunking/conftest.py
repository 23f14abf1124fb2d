"""Tokenizers of each kind: free, estimated, WordPiece (counts add up) and byte-level BPE (they do not)."""

from __future__ import annotations

import pytest

from rag_pipelines.chunking.base import Tokenizer
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines_tests.unit.chunking.documents import WORDS, prose

MAX_TOKENS = 64


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory) -> dict[str, str]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    folder = tmp_path_factory.mktemp("tokenizers")
    texts = [prose(2_000), " ".join(WORDS), "def transform(rows): return rows"]
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer()
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wordpiece.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=90, special_tokens=["[UNK]"]))
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet))
    paths = {}
    for name, tokenizer in (("wordpiece", wordpiece), ("bpe", bpe)):
        paths[name] = str(folder / f"{name}.json")
        tokenizer.save(paths[name])
    return paths


@pytest.fixture(params=["characters", "bytes", "wordpiece", "bpe"], scope="session")
def tokenizer(request, tokenizer_files) -> Tokenizer:
    if request.param in ("characters", "bytes"):
        return load_tokenizer(TokenizerSpec(request.param, MAX_TOKENS, 2))
    return load_tokenizer(TokenizerSpec("file", MAX_TOKENS, 2, tokenizer_files[request.param], request.param))


@pytest.fixture(scope="session")
def wordpiece(tokenizer_files) -> Tokenizer:
    return load_tokenizer(TokenizerSpec("file", MAX_TOKENS, 2, tokenizer_files["wordpiece"], "wordpiece"))
