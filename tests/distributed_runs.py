"""What each of two processes does in the tests of distributed training: a module of its own, so that it can be spawned."""

import copy
from datetime import timedelta

import torch
import torch.distributed as dist
from sparse_cases import layer, same, sparse, whole_numbers
from sparseref_torch import SparseTensor, sparse_parameter, sparse_parameters, value_parameters
from torch import nn, optim
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from sparseref import SpecError

STEPS, BATCH = 3, 4


def network(seed=0):
    """Linear layers in two layouts, one of them tied."""
    one, two, three = (layer(form, 32, 32, seed=seed) for form in ("nmg:2:8:8", "csr:0.75", "csr:0.75"))
    model = nn.Sequential(one, nn.ReLU(), two, three)
    model[3].weight = model[2].weight
    return model


def expected_model():
    """Both halves of every batch in one process."""
    model = network().double()
    train(model, (0, 1))
    return model


def train(model, ranks):
    """Whole numbers in float64 and factors that are powers of two: every sum is exact, in any order."""
    optimizer = optim.SGD(model.parameters(), lr=2.0**-9, momentum=0.5)
    for step in range(STEPS):
        optimizer.zero_grad()
        batches = [whole_numbers(BATCH, 32, seed=10 * step + rank, most=1, dtype=torch.float64) for rank in ranks]
        losses = [model(batch).sum() / 32 for batch in batches]
        (sum(losses) / len(losses)).backward()
        optimizer.step()
    return optimizer


def slots_of(model):
    """The number of values that a model without its structural zeros has, each tied weight once."""
    return sum(p.sparse.values.numel() if isinstance(p, SparseTensor) else p.numel() for p in model.parameters())


def with_ddp(rank):
    """DDP of the values: what is reduced is as large as the values, the result is that of one process."""
    model = network().double()
    size = slots_of(model)
    wrapped = DistributedDataParallel(value_parameters(model))
    sent = []

    def counting(state, bucket):
        sent.append(bucket.buffer().numel())
        return allreduce_hook(state, bucket)

    wrapped.register_comm_hook(None, counting)
    train(wrapped, (rank,))
    assert sum(sent) == STEPS * size, (sent, size)
    state = copy.deepcopy(model.state_dict())
    sparse_parameters(model)
    assert model[2].weight is model[3].weight
    assert all(isinstance(model[i].weight, SparseTensor) for i in (0, 2))
    check(expected_model(), model)
    again = value_parameters(network(seed=3).double())
    again.load_state_dict(state)
    check(expected_model(), sparse_parameters(again))


def with_fsdp(rank):
    """FSDP2 of the values: each process holds half of them; reading a sharded weight is refused."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    model = value_parameters(network().double())
    size = sum(parameter.numel() for parameter in model.parameters())
    for part in (model[0], model):
        fully_shard(part)
    held = sum(parameter.to_local().numel() for parameter in model.parameters())
    assert 2 * held == size, (held, size)
    try:
        model[0].weight  # noqa: B018 - reading it is what is tried
    except SpecError as refused:
        assert refused.clause == "DIST-1"
    else:
        raise AssertionError("a sharded weight was put together")
    train(model, (rank,))
    state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
    if rank == 0:
        again = network(seed=3).double()
        with_values = _alone(again)
        with_values.load_state_dict(state)
        check(expected_model(), sparse_parameters(with_values))
    dist.barrier()


def _alone(model):
    """value_parameters without asking the other process."""
    from unittest import mock

    with mock.patch("torch.distributed.is_initialized", return_value=False):
        return value_parameters(model)


def with_plain_ddp(rank):
    """DDP of sparse parameters as they are: dense gradients are reduced, the result is right all the same."""
    model = network().double()
    wrapped = DistributedDataParallel(model)
    train(wrapped, (rank,))
    check(expected_model(), model)


def with_other_patterns(rank):
    """Processes that store different entries are told so."""
    model = nn.Linear(32, 32)
    model.weight = sparse_parameter(sparse("csr:0.5", 32, 32, seed=rank))
    try:
        value_parameters(model)
    except SpecError as refused:
        assert refused.clause == "DIST-2"
        return
    raise AssertionError("different patterns were taken")


def check(expected, actual):
    for one, two in zip(expected.parameters(), actual.parameters(), strict=True):
        assert same(one, two), (one, two)


RUNS = {run.__name__: run for run in (with_ddp, with_fsdp, with_plain_ddp, with_other_patterns)}


def start(rank, address, outcomes):
    """One process: every run, and what went wrong in it."""
    import traceback
    import warnings

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=timedelta(minutes=5))
    for name, run in RUNS.items():
        try:
            run(rank)
            outcomes[name, rank] = ""
        except Exception:                                      # the test says what it was
            outcomes[name, rank] = traceback.format_exc()
    dist.destroy_process_group()
