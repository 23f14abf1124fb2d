"""Sentence-transformers models: run by OpenVINO only where it agrees, prepared once, cheap ever after."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rag_pipelines.embedding import conversion
from rag_pipelines.embedding.conversion import LEAST_COSINE, Manifest, Wish, ensure_prepared
from rag_pipelines.embedding.local import LocalEmbedder
from rag_pipelines.embedding.model_files import find_model, licence_of, weights_hash
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.runtimes import TorchRuntime
from rag_pipelines.errors import ConfigError
from rag_pipelines_tests.unit.chunking.documents import prose
from rag_pipelines_tests.unit.embedding.conftest import MAX_TOKENS, SIZE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not find_spec("sentence_transformers"), reason="sentence-transformers is not installed"
    ),
    pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed"),
]
"""Looked for and not imported: that takes 8 s, also in a process that runs none of these."""

TEXTS = [prose(words, str(words)) for words in (3, 40, 7, 25, 1, 90, 12, 33, 5, 60, 18)]


@pytest.fixture(scope="module", autouse=True)
def in_this_process():
    """Models are prepared in this process, which has torch already; `test_minilm` does it apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "_prepare_apart", conversion.prepare)
        yield


def embedder(model: Path, data_dir: Path, **settings) -> LocalEmbedder:
    return LocalEmbedder(EmbeddingProfile(model=str(model), device="cpu", **settings), data_dir)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def in_openvino(mean_model, data_dir) -> LocalEmbedder:
    return embedder(mean_model, data_dir, precision="fp32")


def reference(model: Path, texts: list[str], prompt: str = "") -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu")
    return loaded.encode(texts, prompt=prompt, normalize_embeddings=True, show_progress_bar=False)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_openvino_gives_the_vectors_of_the_library(tiny_model, data_dir, pooling):
    model = tiny_model(pooling=pooling)
    one = embedder(model, data_dir, precision="fp32")
    assert one.identity.runtime == "openvino"
    cosines = np.sum(one.embed_documents(TEXTS) * reference(model, TEXTS), axis=1)
    assert cosines.min() >= LEAST_COSINE


def test_vectors_are_cut_to_the_dimensions_asked_for_and_are_those_of_another_model(
    mean_model, in_openvino, data_dir
):
    short = embedder(mean_model, data_dir, precision="fp32", dimensions=SIZE // 2)
    assert short.identity.fingerprint != in_openvino.identity.fingerprint
    whole = in_openvino.embed_documents(TEXTS)[:, : SIZE // 2]
    expected = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    np.testing.assert_allclose(short.embed_documents(TEXTS), expected, atol=1e-6)
    assert short.embed_query(TEXTS[0]).shape == (SIZE // 2,)


def test_more_dimensions_than_the_model_has_are_refused(mean_model, data_dir):
    with pytest.raises(ConfigError, match=rf"'dimensions' is 99, and the vectors of .* have {SIZE}"):
        _ = embedder(mean_model, data_dir, dimensions=99).identity


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("---\nlicense: 'cc-by-nc-4.0'\n---\n", "cc-by-nc-4.0"),
        ("# A model\nlicense: mit\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_licence_is_what_the_front_matter_of_the_card_names(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path) == licence


def test_a_table_of_a_vector_a_token_is_run_by_torch_without_special_tokens(mean_model, data_dir, tmp_path):
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(mean_model / "tokenizer.json"))
    table = np.random.default_rng(1).normal(size=(words.get_vocab_size(), 8)).astype(np.float32)
    made = SentenceTransformer(
        modules=[models.StaticEmbedding(words, embedding_weights=table), models.Normalize()], device="cpu"
    )
    made.save(str(tmp_path / "static"))
    (tmp_path / "static" / "config.json").write_text("{}")
    one = embedder(tmp_path / "static", data_dir)
    assert (one.identity.runtime, one.identity.dimensions, one.tokenizer_spec.special_tokens) == (
        "torch",
        8,
        0,
    )
    np.testing.assert_allclose(one.embed_documents(TEXTS), reference(tmp_path / "static", TEXTS), atol=1e-6)
    ids = words.encode(TEXTS[0], add_special_tokens=False).ids
    assert one.tokenizer.count(TEXTS[:1]) == [len(ids)]
    mean = table[ids].mean(axis=0)
    np.testing.assert_allclose(one.embed_query(TEXTS[0]), mean / np.linalg.norm(mean), atol=1e-5)


def test_modules_that_openvino_is_not_given_are_run_by_torch(tiny_model, data_dir):
    model = tiny_model(dense=True)
    one = embedder(model, data_dir)
    assert (one.identity.runtime, one.identity.precision, one.identity.dimensions) == ("torch", "fp32", 16)
    np.testing.assert_allclose(one.embed_documents(TEXTS), reference(model, TEXTS), atol=1e-6)
    with pytest.raises(ConfigError, match=r"OpenVINO cannot run the model .*use runtime 'auto' or 'torch'"):
        _ = embedder(model, data_dir, runtime="openvino").identity


def test_a_precision_that_does_not_agree_is_left_for_the_next_and_at_last_for_torch(
    mean_model, in_openvino, tmp_path, monkeypatch
):
    def convert(model: object, path: Path) -> None:
        for file in in_openvino._folder.glob(f"{path.stem}.*"):
            shutil.copy(file, path.parent)

    assert in_openvino.manifest
    monkeypatch.setattr(conversion, "_convert", convert)
    wish = Wish(("bf16", "fp32"), "fp32")
    honest = conversion.OpenVinoRuntime.encode
    blurred: set[str] = {"bf16"}

    def encode(self, texts, prompt):
        vectors, tokens = honest(self, texts, prompt)
        return (vectors * 0.999 if precisions.pop(0) in blurred else vectors), tokens

    monkeypatch.setattr(conversion.OpenVinoRuntime, "encode", encode)
    precisions = ["bf16", "fp32"]
    manifest = ensure_prepared(mean_model, "tiny", wish, tmp_path / "one")
    assert (manifest.identity.runtime, manifest.identity.precision) == ("openvino", "fp32")
    assert manifest.rejected == {"openvino bf16": f"least cosine 0.999000, {LEAST_COSINE} is needed"}

    blurred.add("fp32")
    precisions = ["bf16", "fp32"]
    manifest = ensure_prepared(mean_model, "tiny", wish, tmp_path / "two")
    assert (manifest.identity.runtime, manifest.pooling) == ("torch", None)
    assert set(manifest.rejected) == {"openvino bf16", "openvino fp32"}
    assert not (tmp_path / "two" / "model.xml").exists()


def test_a_later_process_imports_neither_torch_nor_transformers(in_openvino, mean_model, data_dir):
    expected = in_openvino.embed_query("the policy")
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from rag_pipelines.embedding.factory import make_embedder\n"
        "from rag_pipelines.embedding.profile import EmbeddingProfile\n"
        "profile = EmbeddingProfile(model=sys.argv[1], device='cpu', precision='fp32')\n"
        "embedder = make_embedder(profile, Path(sys.argv[2]))\n"
        "embedder.identity, embedder.tokenizer_spec\n"
        "early = sorted({'openvino', 'tokenizers'} & set(sys.modules))\n"
        "vector = embedder.embed_query('the policy').tolist()\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'openvino_telemetry.main'}\n"
        "print(json.dumps([early, sorted(heavy & set(sys.modules)), vector]))"
    )
    command = [sys.executable, "-c", code, str(mean_model), str(data_dir)]
    early, heavy, vector = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert early == []
    assert heavy == []
    np.testing.assert_array_equal(np.array(vector, dtype=np.float32), expected)


def test_vectors_come_back_in_the_order_of_the_texts_whatever_the_batch(in_openvino):
    vectors = in_openvino.embed_documents(TEXTS)
    alone = np.stack([in_openvino.embed_documents([text])[0] for text in TEXTS])
    backwards = in_openvino.embed_documents(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    np.testing.assert_allclose(vectors, backwards, atol=1e-5)


def test_batches_by_tokens_give_the_vectors_and_the_tokens_of_batches_by_number(mean_model):
    def run(**batches) -> tuple[np.ndarray, int]:
        return TorchRuntime(mean_model, precision="fp32", device="cpu", **batches).encode(TEXTS, "")

    by_tokens, tokens = run(batch_size=32, batch_tokens=60)
    by_number, same = run(batch_size=1)

    assert tokens == same
    np.testing.assert_allclose(by_tokens, by_number, atol=1e-5)


def test_a_model_for_a_gpu_is_prepared_on_a_machine_without_one_with_one_identity(mean_model, tmp_path):
    profiles = (EmbeddingProfile(model=str(mean_model), runtime="torch", device=at) for at in ("cuda", "cpu"))
    gpu, cpu = (LocalEmbedder(profile, tmp_path).identity for profile in profiles)

    assert gpu == cpu


def test_several_threads_get_the_vectors_of_one(in_openvino):
    expected = [in_openvino.embed_query(text) for text in TEXTS]
    with ThreadPoolExecutor(8) as threads:
        vectors = list(threads.map(in_openvino.embed_query, TEXTS * 20))
    np.testing.assert_allclose(np.stack(vectors), np.stack(expected * 20), atol=1e-5)


def test_what_is_beyond_the_models_limit_is_not_read(in_openvino):
    words = prose(400).split()
    whole, cut = in_openvino.embed_documents([" ".join(words), " ".join(words[:200])])
    np.testing.assert_allclose(whole, cut, atol=1e-6)
    assert in_openvino.tokenizer.max_tokens == MAX_TOKENS


def test_the_models_own_prompts_are_used_unless_the_profile_has_others(tiny_model, data_dir):
    model = tiny_model(prompts={"query": "the question ", "passage": "the passage "})
    own = embedder(model, data_dir, precision="fp32")
    assert (own.identity.query_prompt, own.identity.document_prompt) == ("the question ", "the passage ")
    np.testing.assert_allclose(
        own.embed_query("leave"), reference(model, ["leave"], "the question ")[0], atol=1e-5
    )
    np.testing.assert_allclose(
        own.embed_documents(["leave"]), reference(model, ["leave"], "the passage "), atol=1e-5
    )
    bare = embedder(model, data_dir, precision="fp32", document_prompt="")
    assert bare.identity.fingerprint != own.identity.fingerprint
    assert own.tokenizer.special_tokens > bare.tokenizer.special_tokens == 2


def test_the_identity_is_of_the_content_not_the_place(in_openvino, mean_model, tmp_path):
    copy = tmp_path / mean_model.name
    shutil.copytree(mean_model, copy)
    assert weights_hash(copy) == in_openvino.identity.weights
    config = copy / "config.json"
    config.write_text(config.read_text().replace("1e-12", "1e-11"))
    assert weights_hash(copy) != in_openvino.identity.weights


def test_precision_is_part_of_the_identity(in_openvino):
    assert in_openvino.identity.precision == "fp32"
    assert in_openvino.identity.dimensions == SIZE


def test_usage_counts_what_the_model_read(mean_model, data_dir):
    one = embedder(mean_model, data_dir, precision="fp32")
    one.embed_documents(["the policy", "the"])
    assert (one.usage.inputs, one.usage.requests) == (2, 1)
    assert one.usage.tokens == sum(one.tokenizer.count(["the policy", "the"])) + 4


def test_no_texts_give_no_vectors(in_openvino):
    assert in_openvino.embed_documents([]).shape == (0, SIZE)


def test_a_model_that_is_nowhere_is_named_with_the_places_and_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(
        ConfigError, match=r"looked in acme/none, .*models--acme--none.*allow_download"
    ) as caught:
        _ = embedder(Path("acme/none"), tmp_path).identity
    assert "offline" not in str(caught.value)


def test_a_model_in_the_hub_cache_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    root = tmp_path / "models--acme--small"
    (root / "snapshots" / "abc").mkdir(parents=True)
    (root / "snapshots" / "abc" / "config.json").write_text("{}")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    assert find_model("acme/small") == root / "snapshots" / "abc"


class TestPreparation:
    """With a preparation that is only counted."""

    @pytest.fixture
    def counted(self, in_openvino, monkeypatch) -> list[Path]:
        made: list[Path] = []
        manifest: Manifest = in_openvino.manifest

        def prepare(order):
            made.append(Path(order.folder))
            (made[-1] / "model.xml").write_text("model")
            (made[-1] / "manifest.json").write_bytes(msgspec.json.encode(manifest))

        monkeypatch.setattr(conversion, "_prepare_apart", prepare)
        return made

    def test_it_happens_once_for_many_at_the_same_time(self, counted, tmp_path):
        start = threading.Barrier(4)

        def run() -> None:
            start.wait()
            ensure_prepared(tmp_path, "tiny", Wish((), "fp32"), tmp_path / "models" / "key")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(counted) == 1

    def test_what_a_killed_preparation_left_is_swept_and_never_taken_for_a_model(self, counted, tmp_path):
        left = tmp_path / "key.part-dead"
        left.mkdir()
        (left / "manifest.json").write_text("{")
        ensure_prepared(tmp_path, "tiny", Wish((), "fp32"), tmp_path / "key")
        assert not left.exists()
        assert sorted(path.name for path in (tmp_path / "key").iterdir()) == ["manifest.json", "model.xml"]

    def test_a_failed_preparation_leaves_no_model_and_can_be_tried_again(
        self, counted, tmp_path, monkeypatch
    ):
        good = conversion._prepare_apart

        def fail(*_):
            raise ConfigError("no")

        monkeypatch.setattr(conversion, "_prepare_apart", fail)
        with pytest.raises(ConfigError):
            ensure_prepared(tmp_path, "tiny", Wish((), "fp32"), tmp_path / "key")
        assert not (tmp_path / "key").exists()
        monkeypatch.setattr(conversion, "_prepare_apart", good)
        ensure_prepared(tmp_path, "tiny", Wish((), "fp32"), tmp_path / "key")
        assert len(counted) == 1
