"""Calls on a tensor t [48, 64], as a user writes them; d is dense [48, 64], c a column, v, x and y are what it multiplies."""

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from sparse_cases import whole_numbers
from torch import nn

PRODUCTS = """
x @ t.T
x @ t.mT
t @ y
t @ y[0]
t @ v
t.mv(v)
t.T @ d[:, :5]
v[:48] @ t
torch.matmul(y.mT, t.t())
torch.einsum("btk,ok->bto", x, t)
torch.einsum("bkt,ok->bot", y, t)
torch.addmm(v[:48], x[0], t.T, beta=2, alpha=3)
torch.addmm(v[:48], x[0], t.T, beta=0)
t.transpose(0, 1).T @ y[1]
x.transpose(0, 1) @ t.T
F.linear(x.transpose(0, 1), t)
F.linear(x.transpose(0, 1), t, bias=v[:48])
F.linear(input=x, weight=t)
torch.inner(x, t)
x[:, None].expand(2, 2, 3, 64) @ t.T
torch.mm(x[0], t.T, out=torch.empty(3, 48))
"""

KEEPING = """
t * 2
3 * t
t / 2
-t
t.abs()
t * c
t / c
torch.relu(t)
t.square()
t.sign()
t.clamp(-1, 1)
t ** 3
t * t
t + t
t - 2 * t
t.mul(d)
d * t
t.to(torch.float64)
torch.mul(input=t, other=2)
"""

IN_PLACE = """
t.add_(1)
t.mul_(c)
t.copy_(t * 2)
t.zero_()
t.fill_(2)
t.sub_(d, alpha=2)
t.lerp_(t * 3, 0.5)
t.addcmul_(t, t, value=2)
t.masked_fill_(d > 0, 0)
t.clamp_(0, 1)
t.neg_()
t.add_(other=d)
"""

ANY = """
t + 1
t + d
F.softmax(t, -1)
F.layer_norm(t, (64,))
torch.exp(t)
torch.cos(t)
F.gelu(t)
torch.cat([t, d, t])
torch.stack([t, t])
t[3]
t[:, 2:5]
t[t > 1]
t[[1, 5]]
t.sum()
t.sum(0)
t.mean()
t.mean(-1, keepdim=True)
t.amax()
t.max(1).values
t.sort(-1).values
t.cumsum(0)
t.norm()
t.norm(1)
t.norm(float("inf"))
t.norm(0)
t.norm(dim=1)
t.isnan().any()
t.chunk(3)[1]
torch.tensor_split(t, 2)[0]
torch.outer(t[0], t[1])
torch.dot(t[0], t[1])
torch.bmm(t[None], d.T[None])
torch.linalg.svdvals(t).sum().round()
torch.where(t > 0, t, -t)
torch.where(t > 0, d, t)
t > 0
t == t
t.type(torch.bool)
t.view(-1)
t.flatten()
t.T.reshape(-1)
t.view(6, 8, 64)[:, 1]
t.unfold(1, 8, 8)
t.diagonal()
t.as_strided((3, 3), (1, 2), 5)
t.expand(2, 48, 64)
t.repeat(2, 1)
t.roll(1)
t.tril()
t.reciprocal()
1 / t
F.embedding(torch.tensor([[1, 2]]), t)
torch.ones_like(t)
torch.full_like(t, 2)
t.new_ones(3)
torch.zeros_like(t)
torch.add(t, 1, out=d.clone())
t.transpose(0, 1).contiguous().view(-1)
"""

WRITES = """
t[0].zero_()
t.data[3:5].mul_(2)
t[:, 7].copy_(t[:, 7] * 3)
t.view(-1)[5:9].zero_()
t.T[2].neg_()
t.__setitem__(0, 0)
t.__setitem__((slice(1, 3), 2), 0)
t.__setitem__(t > 1, 0)
t.__setitem__(slice(2, 4), t[2:4] * 5)
[row.zero_() for row in t]
t.chunk(3)[1].chunk(2)[0].mul_(-1)
nn.init.zeros_(t[2])
t.index_fill_(0, torch.tensor([1]), 0)
"""

REFUSED_WRITES = """
t.__setitem__(0, 1.0)
t[3:5].fill_(2)
t.copy_(torch.ones(48, 64))
t.__setitem__(slice(None), torch.ones(48, 64))
t.__setitem__(~t.pattern, 1.0)
t.view(-1).copy_(torch.ones(48 * 64))
torch.add(t, 1, out=t)
t.index_fill_(0, torch.tensor([1]), 2.0)
"""


def calls(table):
    return table.strip().splitlines()


def evaluate(call, t):
    names = {"d": whole_numbers(48, 64, seed=7), "c": whole_numbers(48, 1, seed=8), "v": whole_numbers(64, seed=9),
             "x": whole_numbers(2, 3, 64, seed=10), "y": whole_numbers(2, 64, 3, seed=11)}
    return eval(call, {"torch": torch, "F": F, "nn": nn, "t": t, **names})
