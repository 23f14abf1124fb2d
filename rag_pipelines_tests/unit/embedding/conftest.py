"""Tiny sentence-transformers models with random weights, so that these tests need no real one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_pipelines_tests.unit.chunking.documents import prose

SIZE = 32
MAX_TOKENS = 48


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Callable[..., Path]:
    """Makes a model folder: a BERT of one layer with the pooling, prompts and modules asked for."""
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

    def make(*, pooling: str = "mean", dense: bool = False, prompts: dict[str, str] | None = None) -> Path:
        import torch
        from sentence_transformers import SentenceTransformer, models
        from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors, trainers
        from tokenizers.models import WordPiece
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        folder = tmp_path_factory.mktemp("model")
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        words = Tokenizer(WordPiece(unk_token="[UNK]"))
        words.normalizer = normalizers.BertNormalizer()
        words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        words.train_from_iterator(
            [prose(500)], trainers.WordPieceTrainer(vocab_size=200, special_tokens=special)
        )
        words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        torch.manual_seed(7)
        config = BertConfig(
            vocab_size=words.get_vocab_size(),
            hidden_size=SIZE,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder / "bert")
        PreTrainedTokenizerFast(tokenizer_object=words, **named).save_pretrained(folder / "bert")
        modules = [models.Transformer(str(folder / "bert"), max_seq_length=MAX_TOKENS)]
        modules.append(models.Pooling(SIZE, pooling_mode=pooling))
        if dense:
            modules.append(models.Dense(SIZE, 16))
        SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder / "st"))
        assert json.loads((folder / "st" / "modules.json").read_text())
        return folder / "st"

    return make


@pytest.fixture(scope="session")
def mean_model(tiny_model) -> Path:
    return tiny_model()
