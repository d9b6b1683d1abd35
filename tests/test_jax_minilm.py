"""The example of sparseref_jax: a trained BERT in plain JAX, the same as in torch, made sparse and fine-tuned."""

import itertools
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="the JAX backend needs the extra 'jax'")
minilm = pytest.importorskip("sparseref_jax.examples.minilm", reason="the example needs the extra 'jax-examples'")
import sparseref_jax as sj  # noqa: E402

TEXTS = ["Ink helps drive democracy in Asia", "China net cafe culture crackdown", "Microsoft seeking spyware trojan", ""]


@pytest.fixture(scope="module")
def dense():
    return minilm.load_parameters()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "nmg:2:8:8", "csr:0.75"])
def test_the_encoder_is_torchs(dense, form):
    """Hidden states of size 1, six layers of float32: some units in the last place; padding and an empty text included."""
    actual = minilm.distance_from_torch(minilm.prune(dense, form), minilm.tokens(TEXTS))

    assert actual < minilm.APART


@pytest.mark.slow
def test_fine_tuning_learns_and_keeps_the_pattern(dense):
    """The loss falls; what is not stored stays so, the vocabulary as it is."""
    sparse, losses = minilm.prune(dense, "nmg:1:8:8"), []
    texts = minilm.tokens(TEXTS[:3])
    tuned = minilm.fine_tune(dense, sparse, itertools.repeat(texts), 8, 5e-4, lambda step, loss: losses.append(loss))
    name = "encoder.layer.0.intermediate.dense.weight"

    assert losses[-1] < 0.8 * losses[0]
    assert np.array_equal(sparse[name]["idx"], tuned[name]["idx"])
    assert not np.array_equal(sparse[name].values, tuned[name].values)
    assert sparse["embeddings.word_embeddings.weight"] is tuned["embeddings.word_embeddings.weight"]


def test_values_of_a_tree_and_back():
    """What has a gradient, and the same entries with other numbers."""
    a = sj.sparsify(jax.numpy.arange(16.0).reshape(2, 8), "nm:2:4")
    tree = {"a": a, "b": [jax.numpy.ones(3)]}
    doubled = sj.with_values(tree, jax.tree.map(lambda leaf: 2 * leaf, sj.values_of(tree)))

    assert np.array_equal(2 * sj.decode(a), sj.decode(doubled["a"]))
    assert np.array_equal(2 * tree["b"][0], doubled["b"][0])


def test_the_example_names_what_is_missing(monkeypatch):
    """And the extra that brings it."""
    monkeypatch.setitem(sys.modules, "optax", None)
    monkeypatch.delitem(sys.modules, "sparseref_jax.examples.minilm")
    with pytest.raises(ImportError, match=r"optax.*\n.*sparseref\[jax-examples\]"):
        __import__("sparseref_jax.examples.minilm")
