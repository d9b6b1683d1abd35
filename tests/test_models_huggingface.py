"""Hugging Face's transformers with sparse weights: forward, gradients, a training step, files, generation, no fallback.

Small random configurations; nothing is downloaded.
"""

from __future__ import annotations

import copy

import pytest
import torch
import transformers as hf
from models import (
    CONTRACTIONS,
    QUICK,
    Case,
    beyond_bound,
    loading_problems,
    masked,
    moved_too_far,
    observe,
    patterns,
    step_problems,
)
from sparseref_torch import explain, strict
from transformers.utils import logging

from sparseref.demo.model import load_encoder

VOCABULARY = 96
SIDES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
ENDS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2}
TEXT = {**SIDES, **ENDS, "max_position_embeddings": 64, "pad_token_id": 0}
GROUPED = {**TEXT, "num_key_value_heads": 2, "head_dim": 8}
TWO_STACKS = {**ENDS, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
              "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "pad_token_id": 0,
              "decoder_start_token_id": 1}
PICTURE = {**SIDES, "image_size": 32, "patch_size": 8}

logging.set_verbosity_error()


def tokens(length=7):
    return torch.randint(3, VOCABULARY, (2, length))


def text():
    """Two sentences; the second one is shorter."""
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    return {"input_ids": tokens(), "attention_mask": mask}


def text_to_text():
    return {**text(), "decoder_input_ids": tokens(5)}


def picture():
    return {"pixel_values": torch.randn(2, 3, 32, 32)}


def case(model, config, make_inputs=text, **settings):
    """A model of a random configuration, whose weights are large enough for each layer to matter."""
    def build():
        built = model(config(**settings))
        with torch.no_grad():
            for parameter in built.parameters():
                if parameter.dim() > 1:
                    torch.nn.init.xavier_normal_(parameter)
        return built

    return Case(build, make_inputs)


GPT2 = {**ENDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
T5 = {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
      "decoder_start_token_id": 0}

WRITERS = {
    "gpt2": case(hf.GPT2LMHeadModel, hf.GPT2Config, **GPT2),
    "llama": case(hf.LlamaForCausalLM, hf.LlamaConfig, **GROUPED),
    "t5": case(hf.T5ForConditionalGeneration, hf.T5Config, text_to_text, **T5),
}
"""Models that generate text."""

LISTED = WRITERS | {
    "bert": case(hf.BertForMaskedLM, hf.BertConfig, **TEXT),
    "distilbert": case(hf.DistilBertModel, hf.DistilBertConfig, vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4,
                       hidden_dim=64),
    "roberta": case(hf.RobertaForMaskedLM, hf.RobertaConfig, **TEXT),
    "vit": case(hf.ViTForImageClassification, hf.ViTConfig, picture, **PICTURE),
}

OTHERS = {
    "albert": case(hf.AlbertModel, hf.AlbertConfig, embedding_size=16, **TEXT),
    "bart": case(hf.BartForConditionalGeneration, hf.BartConfig, text_to_text, max_position_embeddings=64, **TWO_STACKS),
    "clip": case(hf.CLIPModel, hf.CLIPConfig, lambda: {**text(), **picture()}, projection_dim=16,
                 text_config={**TEXT, "projection_dim": 16}, vision_config={**PICTURE, "projection_dim": 16}),
    "deberta": case(hf.DebertaV2Model, hf.DebertaV2Config, relative_attention=True, pos_att_type=["p2c", "c2p"], **TEXT),
    "electra": case(hf.ElectraModel, hf.ElectraConfig, embedding_size=16, **TEXT),
    "gemma": case(hf.GemmaForCausalLM, hf.GemmaConfig, **GROUPED),
    "gpt_neox": case(hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig, **TEXT),
    "mamba": case(hf.MambaForCausalLM, hf.MambaConfig, lambda: {"input_ids": tokens()}, vocab_size=VOCABULARY, hidden_size=32,
                  num_hidden_layers=2, state_size=8),
    "mistral": case(hf.MistralForCausalLM, hf.MistralConfig, **GROUPED),
    "mpnet": case(hf.MPNetModel, hf.MPNetConfig, **TEXT),
    "qwen2": case(hf.Qwen2ForCausalLM, hf.Qwen2Config, tie_word_embeddings=True, **GROUPED),
    "t5 gated": case(hf.T5ForConditionalGeneration, hf.T5Config, text_to_text, feed_forward_proj="gated-gelu", **T5),
    "wav2vec2": case(hf.Wav2Vec2Model, hf.Wav2Vec2Config, lambda: {"input_values": torch.randn(2, 800)}, conv_dim=(32, 32),
                     conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2, num_conv_pos_embeddings=16,
                     num_conv_pos_embedding_groups=4, mask_time_prob=0.0, **SIDES),
    "whisper": case(hf.WhisperForConditionalGeneration, hf.WhisperConfig,
                    lambda: {"input_features": torch.randn(2, 80, 100), "decoder_input_ids": tokens(5)},
                    max_source_positions=50, max_target_positions=40, suppress_tokens=None, begin_suppress_tokens=None,
                    **TWO_STACKS),
}
"""Models that nobody promised."""

CASES = [pytest.param(case, id=name) for name, case in (LISTED | OTHERS).items()]


@pytest.mark.parametrize("case", CASES)
def test_every_layer_is_within_its_bound(case):
    """On the input that it gets in the model, in float32 (BOUND-1)."""
    expected = []
    actual, count = beyond_bound(case.sparse(), case.inputs())

    assert expected == actual
    assert count > 3


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_the_masked_model(case, training):
    """With dropout and without, in float64."""
    expected = []
    actual = moved_too_far(copy.deepcopy(case.sparse()).train(training), case, gradients=training)

    assert expected == actual


@pytest.mark.parametrize("case", CASES)
def test_a_training_step_keeps_to_the_slots(case):
    """Gradients arrive in the parameter's slots, and AdamW does there what it does to a dense weight."""
    expected = []
    actual = step_problems(case.sparse(), case)

    assert expected == actual


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_model_gives_the_same_bits(case, tmp_path):
    """From what torch.save wrote, and from sparse safetensors; what is tied stays tied."""
    expected = []
    actual = loading_problems(case.sparse(), case, tmp_path)

    assert expected == actual


@pytest.mark.parametrize("case", CASES)
def test_nothing_falls_back(case):
    """Each layer runs a sparse kernel, or the dense product where its density makes that one the faster; strict agrees."""
    model = case.sparse()
    with strict():
        records = explain(model, **case.inputs())
    expected = len(patterns(model))
    actual = sum(record.operation in CONTRACTIONS for record in records)

    assert expected <= actual
    assert all("is faster" in record.reason for record in records if record.kind == "dense")


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in WRITERS.items()])
def test_the_same_text_is_generated(case, beams):
    """With a cache of keys and values, one token at a time, in float64 so that no two tokens are equally likely."""
    model = copy.deepcopy(case.sparse()).double()
    prompt = {"input_ids": tokens(), "max_new_tokens": 8, "num_beams": beams, "do_sample": False, "pad_token_id": 0}
    expected = masked(model).generate(**prompt)
    with strict():
        actual = model.generate(**prompt)

    assert torch.equal(expected, actual)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_checkpointed_gradients_are_the_same():
    """Layers that run again in the backward pass see the same weights."""
    case = LISTED["bert"]
    model = copy.deepcopy(case.sparse()).train()
    expected = observe(model, case.inputs(), gradients=True)
    model.gradient_checkpointing_enable()
    actual = observe(model, case.inputs(), gradients=True)

    assert expected.keys() == actual.keys()
    assert all(torch.equal(value, actual[name]) for name, value in expected.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_model_in_half_precision(dtype):
    """Each layer keeps its sums in float32 and rounds once; Llama's have no bias, which would be added after that."""
    case = LISTED["llama"]
    expected = []
    actual, count = beyond_bound(copy.deepcopy(case.sparse()).to(dtype), case.inputs(dtype))

    assert expected == actual
    assert count > 3


@pytest.mark.slow
def test_a_compiled_model_gives_the_same():
    """torch.compile without a graph break; the kernels are the eager ones, and so are the bits."""
    case = LISTED["bert"]
    model = copy.deepcopy(case.sparse())
    expected = observe(model, case.inputs())
    actual = observe(torch.compile(model, backend="aot_eager", fullgraph=True), case.inputs())

    assert all(torch.equal(value, actual[name]) for name, value in expected.items())


@pytest.mark.slow
def test_bert_base():
    """The whole base configuration, every layer within its bound, in slots that a step keeps to."""
    case = Case(lambda: hf.BertModel(hf.BertConfig()), text, QUICK)
    problems, count = beyond_bound(case.sparse(), case.inputs())

    assert problems == []
    assert count == 73
    assert step_problems(case.sparse(), case) == []


@pytest.mark.slow
def test_minilm():
    """Real weights and real sentences: layers within their bounds, the masked model's gradients, the same bits from a file."""
    encoder = load_encoder()
    sentences = ["Sparse weights are stored without their zeros.", "A short one."]
    inputs = dict(encoder.tokenizer(sentences, padding=True, return_tensors="pt"))
    case = Case(lambda: copy.deepcopy(encoder.model), lambda: inputs, QUICK)
    problems, count = beyond_bound(case.sparse(), case.inputs())

    assert problems == []
    assert count == 37
    assert moved_too_far(copy.deepcopy(case.sparse()).train(), case, gradients=True) == []
    with strict():
        assert len(explain(case.sparse(), **case.inputs())) >= count
