"""The task resnet-digits: its dense model is trained once and never a damaged one, and measuring changes nothing."""

import copy
import math
import sys
from itertools import islice

import pytest
import torch
from sparseref_torch import Selector, sparse_parameter, sparsify
from sparseref_torch.poc import digit_resnet
from sparseref_torch.poc.data.digits import Images, load_digits, split
from sparseref_torch.poc.task import load_task
from sparseref_torch.poc.tasks import resnet_digits
from torch import nn
from torch.nn import functional

import sparseref as sr


@pytest.fixture(scope="module")
def digits():
    """16 digits to train on, which are one batch, and 16 others."""
    return tuple(Images(part.images[::len(part.labels) // 16][:16], part.labels[::len(part.labels) // 16][:16])
                 for part in split(load_digits()))


@pytest.fixture(autouse=True)
def task(digits, monkeypatch, tmp_path):
    """The task on these digits, one step of training a quick model, and an empty cache folder."""
    monkeypatch.setattr(resnet_digits, "digits", lambda: digits)
    monkeypatch.setattr(resnet_digits, "QUICK_EPOCHS", 1)
    monkeypatch.setattr(digit_resnet, "BATCH", 16)
    monkeypatch.setattr("sparseref_torch.poc.cache.cache_folder", lambda: tmp_path / "cache")
    return load_task("resnet-digits")


@pytest.fixture
def model():
    return digit_resnet.untrained(0).eval()


def bits_of(model):
    """Every number that the model holds, in a form that == compares."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


@pytest.fixture
def quickly(monkeypatch):
    """Instead of the training, weights that the number of epochs decides."""
    monkeypatch.setattr(digit_resnet, "trained", lambda train, epochs, seed, progress: digit_resnet.untrained(epochs))


def steps_told():
    """A progress, and the list of what it was told."""
    told = []
    return lambda *step: told.append(step), told


def test_the_stem_and_the_classifier_stay_dense(task, model):
    """All other weights of torchvision's resnet18 are to be made sparse: 16 convolutions and 3 on the shortcuts."""
    expected = {name for name, weight in model.named_parameters() if weight.dim() > 1} - {"conv1.weight", "fc.weight"}
    actual = set(Selector(name=task.prune).parameters(model))

    assert expected == actual
    assert len(actual) == 19
    assert task.metric == "accuracy"


def test_the_dense_model_is_trained_once():
    """The second call reads what the first one trained, bit for bit."""
    progress, told = steps_told()
    first, again = (resnet_digits.load_model(quick=True, progress=progress) for _ in range(2))

    assert told == [("training the dense resnet18, once", done, 1) for done in (0, 1)]
    assert bits_of(first) == bits_of(again)
    assert bits_of(first) != bits_of(digit_resnet.untrained(0))
    assert not any(module.training for module in [*first.modules(), *again.modules()])


def test_training_again_gives_the_same_weights(digits):
    """Whatever torch's generator, gradient mode and number of threads are, which stay as they were."""
    before = torch.get_num_threads()
    first = digit_resnet.trained(digits[0], 1, 0, lambda *_: None)
    torch.set_num_threads(before + 1)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    try:
        with torch.no_grad():
            again = digit_resnet.trained(digits[0], 1, 0, lambda *_: None)

        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)

    assert bits_of(first) == bits_of(again)
    assert torch.equal(state, torch.get_rng_state())


def test_a_damaged_file_is_replaced_by_the_same_weights(tmp_path, quickly):
    """Here one bit of a weight is another; the model would be a little worse and say nothing."""
    expected = bits_of(resnet_digits.load_model(quick=True, progress=lambda *_: None))
    file, = (tmp_path / "cache").iterdir()
    damaged = bytearray(file.read_bytes())
    damaged[-1000] ^= 1
    file.write_bytes(damaged)
    with pytest.warns(UserWarning, match="cannot be used, the weights are trained anew: FILE-"):
        actual = bits_of(resnet_digits.load_model(quick=True, progress=lambda *_: None))

    assert expected == actual
    assert file.read_bytes() != bytes(damaged)


def test_the_whole_training_is_another_model_than_the_quick_one(tmp_path, quickly):
    """Neither is taken for the other."""
    quick, whole = (resnet_digits.load_model(quick, lambda *_: None) for quick in (True, False))

    assert bits_of(quick) != bits_of(whole)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_without_torchvision_the_pip_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(sr.MissingDependency, match=r"pip install 'sparseref\[models\]'"):
        resnet_digits.load_model()


def test_an_epoch_shows_each_training_image_once(digits, task):
    """With its label, in an order that the seed decides."""
    (first,), (again,), (other,) = (list(islice(task.train_batches(seed), 1)) for seed in (0, 0, 1))
    place = {image.numpy().tobytes(): i for i, image in enumerate(digits[0].images)}
    order = [place[image.numpy().tobytes()] for image in first.images]

    assert sorted(order) == list(range(16))
    assert torch.equal(first.labels, digits[0].labels[order])
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_the_held_out_digits_are_not_trained_on(monkeypatch):
    """4,000 and 1,000, and no image is in both."""
    monkeypatch.undo()
    train, held_out = resnet_digits.digits()
    expected = 5000
    actual = len(torch.cat([train.images, held_out.images]).unique(dim=0))

    assert expected == actual
    assert (len(train.labels), len(held_out.labels)) == (4000, 1000)


def test_accuracy_is_the_share_read_rightly_and_its_standard_error(digits, task, model):
    """BatchNorm judges one image as it judges many, and the model is left as it was found, with a part frozen."""
    right = sum(model(image[None]).argmax().item() == label for image, label in zip(*digits[1], strict=True))
    expected = (right / 16, math.sqrt(right / 16 * (1 - right / 16) / 16))
    model.train()
    model.layer1.eval()
    before, modes, state = bits_of(model), [module.training for module in model.modules()], torch.get_rng_state()
    actual = task.evaluate(model)

    assert expected == actual
    assert bits_of(model) == before
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(state, torch.get_rng_state())


def test_the_loss_of_the_teacher_itself_is_half_its_cross_entropy(digits, task, model):
    """It does not diverge from itself; its statistics stay, even where it came in train mode, and it gets no gradient."""
    teacher = copy.deepcopy(model).train()
    before = bits_of(teacher)
    expected = functional.cross_entropy(model(digits[0].images), digits[0].labels) / 2
    actual = task.loss(model, teacher, digits[0])
    actual.backward()

    assert torch.equal(expected, actual)
    assert bits_of(teacher) == before
    assert teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("steps", [1, 2, 10, 125])
def test_the_schedule_has_room_for_all_steps(task, steps):
    """Few of them, too, and the rate ends near zero."""
    optimizer, schedule = task.optimizer([nn.Parameter(torch.zeros(1))], steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()

    assert max(rates) <= 0.02
    assert rates[-1] < 1e-6


def test_calibration_measures_the_statistics_and_trains_nothing(model):
    """What they were before does not count; every module is left in its mode."""
    other = copy.deepcopy(model)
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(3)
            module.running_var.fill_(5)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    other.layer1.train()
    modes = [module.training for module in other.modules()]
    resnet_digits.calibrate(model)
    resnet_digits.calibrate(other)

    assert bits_of(model) == bits_of(other)
    assert model.bn1.running_mean.any()
    assert all(torch.equal(before, after) for before, after in zip(weights, model.parameters(), strict=True))
    assert [module.training for module in other.modules()] == modes


def test_one_step_on_sparse_weights_keeps_their_patterns(digits, task, model):
    """All 19 at once, through the loss and the optimizer of the task."""
    teacher = copy.deepcopy(model)
    for module, attribute in Selector(name=task.prune).parameters(model).values():
        setattr(module, attribute, sparse_parameter(sparsify(getattr(module, attribute), "nm:2:4")))
    sparse = [getattr(*place) for place in Selector(name=task.prune).parameters(model).values()]
    patterns, values = [weight.pattern for weight in sparse], [weight.to_dense() for weight in sparse]
    optimizer, _ = task.optimizer(model.parameters(), task.steps)
    task.loss(model.train(), teacher, Images(digits[0].images[:8], digits[0].labels[:8])).backward()
    optimizer.step()

    assert all(torch.equal(before, weight.pattern) for before, weight in zip(patterns, sparse, strict=True))
    assert not any(torch.equal(before, weight.to_dense()) for before, weight in zip(values, sparse, strict=True))
