"""Hugging Face's Trainer: three steps of a tiny random BERT, no downloads, nothing reported anywhere."""

import warnings

import pytest
import torch
from sparseref_torch import SparseTensor
from sparseref_torch.training import Cubic, Pruner, RigL, SparsityCallback

import sparseref as sr

STEPS = 3


def tiny_bert():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=2))


class Sentences(torch.utils.data.Dataset):
    """24 of 6 tokens; the label says whether the first token is in the upper half."""

    def __len__(self):
        return 24

    def __getitem__(self, i):
        ids = torch.randint(30, (6,), generator=torch.Generator().manual_seed(i))
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": (ids[0] >= 15).long()}


def train(model, callback, folder, steps=STEPS, **how):
    from transformers import Trainer, TrainingArguments

    with warnings.catch_warnings():                            # the loader speaks of pinned memory, which needs an accelerator
        warnings.filterwarnings("ignore", message=".*pin_memory.*")
        arguments = TrainingArguments(output_dir=str(folder), max_steps=steps, per_device_train_batch_size=8, report_to="none",
                                      save_strategy="no", use_cpu=True, disable_tqdm=True, logging_strategy="no", **how)
        trainer = Trainer(model=model, args=arguments, train_dataset=Sentences(), callbacks=[callback])
        trainer.train()
    return trainer


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused", "sgd"])
def test_the_pruner_steps_with_the_trainer(tmp_path, optim):
    """At the end exact, all hooks gone, the state in the pattern."""
    model = tiny_bert()
    pruner = Pruner(model, "bert.encoder.*.dense.weight", "csr:0.8", Cubic(0, STEPS))
    trainer = train(model, SparsityCallback(pruner), tmp_path, optim=optim)
    weight = model.bert.encoder.layer[0].output.dense.weight

    assert isinstance(weight, SparseTensor)
    assert weight.nnz == weight.numel() - round(0.8 * weight.numel())
    assert pruner.steps == STEPS
    assert not trainer.optimizer.optimizer._optimizer_step_post_hooks
    assert all(state.nnz == weight.nnz for state in trainer.optimizer.optimizer.state[weight].values() if state.dim())


def test_accumulated_gradients_are_one_step(tmp_path):
    model = tiny_bert()
    regime = RigL(model, "bert.encoder.*.dense.weight", "csr:0.8", stop=9, every=1)
    before = model.bert.encoder.layer[0].output.dense.weight.pattern
    train(model, SparsityCallback(regime), tmp_path, gradient_accumulation_steps=2)
    after = model.bert.encoder.layer[0].output.dense.weight.pattern

    assert regime.steps == STEPS
    assert before.sum() == after.sum()
    assert not torch.equal(before, after)


def test_a_model_that_is_sparse_already_is_guarded(tmp_path):
    model = tiny_bert()
    Pruner(model, "bert.encoder.*.dense.weight", "nmg:2:8:1")
    callback = SparsityCallback()
    train(model, callback, tmp_path)
    callback.guard.check()

    assert len(callback.guard.kept) == 6


def test_a_schedule_longer_than_the_training_is_said(tmp_path):    # TRAIN-6
    model = tiny_bert()
    with pytest.raises(sr.SpecError) as refused:
        train(model, SparsityCallback(Pruner(model, "bert.encoder.*.dense.weight", "csr:0.8", Cubic(0, 9))), tmp_path)

    assert refused.value.clause == "TRAIN-6"
