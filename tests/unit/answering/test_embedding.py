"""The model that ships with the engine says which texts mean the same; without it, the engine says why."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from runllm.errors import UsageError
from worker.answering import embedding, embedding_minilm
from worker.answering.embedding import choose_embedder
from worker.answering.embedding_minilm import WIDTH, MiniLM


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


def test_texts_that_mean_the_same_are_near_whatever_their_words(minilm: MiniLM) -> None:
    asked, same, other = minilm.embed_now(
        ["How do I delete my account?", "Removing a user profile for good", "Grilling vegetables in summer"]
    )
    assert asked @ same > 0.45
    assert asked @ other < 0.2


def test_vectors_have_a_length_of_one_and_do_not_depend_on_their_company(minilm: MiniLM) -> None:
    texts = ["Rotate an API key", "", "long " * 5_000, "👋 Zürich", "x"]
    together = minilm.embed_now(texts)
    assert together.shape == (len(texts), WIDTH)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-3)
    assert np.allclose(together, np.concatenate([minilm.embed_now([text]) for text in texts]))


def test_the_vectors_are_those_of_the_published_model(minilm: MiniLM) -> None:
    """The cosines of the float32 weights, computed once: int8 may be off by a few hundredths."""
    a, b, c = minilm.embed_now(["That is a happy person", "That is a happy dog", "Today is a sunny day"])
    assert a @ b == pytest.approx(0.6946, abs=0.04)
    assert a @ c == pytest.approx(0.2569, abs=0.04)


def test_missing_weights_leave_retrieval_by_words_and_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedding_minilm, "HOME", tmp_path)
    chosen = choose_embedder("minilm")
    assert chosen.embedder is None
    assert f"by their words alone: the model's weights are not in {tmp_path}" in chosen.as_sentence


def test_a_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    assert "onnxruntime cannot be imported" in choose_embedder("minilm").as_sentence


def test_embeddings_can_be_switched_off() -> None:
    assert choose_embedder("none").as_sentence.endswith("by their words alone: RUNLLM_EMBEDDINGS is none.")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'bert'.*RUNLLM_EMBEDDINGS to one of: minilm, none"):
        choose_embedder("bert")


def test_choosing_loads_nothing() -> None:
    code = (
        "import sys; from worker.answering.embedding import choose_embedder; choose_embedder('minilm');"
        "print(*{'onnxruntime', 'tokenizers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("module", ["worker.session.workflow", "gateways.server", "worker.answering.indexing"])
def test_session_hosts_gateways_and_the_sandbox_stay_light(module: str) -> None:
    code = f"import sys, {module}; print(*{{'onnxruntime', 'tokenizers'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
