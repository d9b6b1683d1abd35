"""torchvision's models with sparse weights: forward, gradients, a training step, files, and which kernels run."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
import torchvision.models as zoo
from models import (
    CONTRACTIONS,
    FORMATS,
    QUICK,
    Case,
    beyond_bound,
    loading_problems,
    moved_too_far,
    patterns,
    sparse,
    step_problems,
)
from sparseref_torch import explain, strict
from torch import nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock, Bottleneck


def images(*sides, name="x"):
    return {name: torch.randn(2, 3, *sides)}


def case(build, *sides, formats=FORMATS, **settings):
    """A model for ten classes, and two images or films."""
    return Case(partial(build, num_classes=10, **settings), partial(images, *sides), formats)


def named(name, *sides, **settings):
    """A model of the zoo as it is."""
    def build():
        model = zoo.get_model(name, weights=None, num_classes=10, **settings)
        for head in (module for module in model.modules() if isinstance(module, nn.Linear) and not module.weight.any()):
            nn.init.normal_(head.weight)                       # a head that starts at zero shows nothing
        return model

    return Case(build, partial(images, *sides, name="input" if "lraspp" in name else "x"), QUICK)


SMALL = {
    "resnet of basic blocks": case(partial(zoo.ResNet, BasicBlock, [1, 1, 1, 1]), 32, 32, formats=QUICK),
    "resnet of bottlenecks": case(partial(zoo.ResNet, Bottleneck, [1, 1, 1, 1]), 32, 32, formats=QUICK, width_per_group=16),
    "convnext": case(partial(zoo.ConvNeXt, [CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)]), 32, 32),
    "vit": case(partial(zoo.VisionTransformer, image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32,
                        mlp_dim=64, dropout=0.1, representation_size=16), 32, 32),
    "swin": case(partial(zoo.SwinTransformer, [4, 4], 16, [2, 2], [2, 4], [4, 4], dropout=0.1), 32, 32),
    "maxvit": case(partial(zoo.MaxVit, (32, 32), 16, 4, [16, 32], [1, 1], 8, 0.1), 32, 32),
    "mobilenet_v3_small": named("mobilenet_v3_small", 64, 64),
}

LISTED = {name: named(name, 64, 64, **({"image_size": 64} if name == "vit_b_16" else {}))
          for name in ("resnet18", "resnet50", "efficientnet_b0", "convnext_tiny", "vit_b_16", "swin_t")}
"""With mobilenet_v3_small above the models that the project promises."""

OTHERS = {name: named(name, 64, 64) for name in ("densenet121", "regnet_y_400mf", "mnasnet0_5", "shufflenet_v2_x0_5",
                                                 "squeezenet1_1")} | {
    "lraspp": named("lraspp_mobilenet_v3_large", 64, 64, weights_backbone=None), "r3d_18": named("r3d_18", 4, 32, 32)}
"""Models that nobody promised."""

CASES = [pytest.param(case, id=name) for name, case in SMALL.items()] + [
    pytest.param(case, id=name, marks=pytest.mark.slow) for name, case in (LISTED | OTHERS).items()]


@pytest.mark.parametrize("case", CASES)
def test_every_layer_is_within_its_bound(case):
    """On the input that it gets in the model, in float32 (BOUND-1)."""
    expected = []
    actual, count = beyond_bound(case.sparse(), case.inputs())

    assert expected == actual
    assert count > 3


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_masked_model(case):
    """In training, with dropout and batch normalisation, in float64; outputs too."""
    expected = []
    actual = moved_too_far(copy.deepcopy(case.sparse()).train(), case, gradients=True)

    assert expected == actual


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in SMALL.items()])
def test_outputs_are_those_of_the_masked_model(case):
    """In eval mode, where torch takes its fast paths, in float64."""
    expected = []
    actual = moved_too_far(case.sparse(), case)

    assert expected == actual


@pytest.mark.parametrize("case", CASES)
def test_a_training_step_keeps_to_the_slots(case):
    """Gradients arrive in the parameter's slots, and AdamW does there what it does to a dense weight."""
    expected = []
    actual = step_problems(case.sparse(), case)

    assert expected == actual


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_model_gives_the_same_bits(case, tmp_path):
    """From what torch.save wrote, and from sparse safetensors; into a dense model and into one with other patterns."""
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


def test_a_convolution_in_groups_is_reported():
    """It runs densely, which explain says with the reason."""
    model = sparse(zoo.mobilenet_v3_small(), ("csr:0.5",), lambda module, name: getattr(module, "groups", 1) > 1).eval()
    expected = {f"{module.groups} groups" for module in model.modules() if getattr(module, "groups", 1) > 1}
    actual = {record.reason for record in explain(model, torch.randn(1, 3, 64, 64)) if record.kind == "dense"}

    assert expected == actual


@pytest.mark.slow
def test_a_compiled_model_computes_the_same():
    """torch.compile without a graph break; in a graph all convolutions have columns, so sums may be in another order."""
    case = LISTED["resnet18"]
    expected = []
    actual = moved_too_far(case.sparse(), case, prepare=partial(torch.compile, backend="aot_eager", fullgraph=True))

    assert expected == actual
