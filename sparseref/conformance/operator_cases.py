"""Cases of the operators and their gradients: every operator x layout x dtype x scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..backend import ARRAY, Cell
from ..dtypes import value_dtype
from ..layouts.base import Layout
from ..operators import ALL as BUILT_IN
from ..operators.base import Operator, Result, Rounding
from ..registry import get_operator, layouts, operators, parse_layout
from .case import Ask, Case
from .inputs import Shape, describes, instances, shapes
from .scenarios import GRADIENT_SCENARIOS, SCENARIOS, Maker, Scenario
from .wire import Call

Make = Callable[[Maker, Layout, Shape], Call]


@dataclass(frozen=True)
class Variant:
    """One way to call an operator with an operand in the layout under test; `cell` with "*" for that layout's name."""

    name: str
    cell: tuple[str, ...]
    make: Make


def _unary(operation: str, **parameters: Any) -> Make:
    return lambda m, layout, shape: Call(operation, (m.sparse(layout, shape),), parameters)


def _scale(m: Maker, layout: Layout, shape: Shape) -> Call:
    return Call("scale", (m.sparse(layout, shape), m.dense()))


def _with(operation: str, partner: str) -> Make:
    """a in the layout under test, b of the same shape: dense, in the same layout, or in `partner`."""
    def make(m: Maker, layout: Layout, shape: Shape) -> Call:
        a = m.sparse(layout, shape)
        if partner == ARRAY:
            return Call(operation, (a, m.dense(*shape)))
        return Call(operation, (a, m.sparse(layout if partner == "*" else parse_layout(partner), shape)))
    return make


def _sparse_dense(m: Maker, layout: Layout, shape: Shape) -> Call:
    return Call("matmul", (m.sparse(layout, shape), m.dense(shape[1], 3)))


def _sparse_batch(m: Maker, layout: Layout, shape: Shape) -> Call:
    return Call("matmul", (m.sparse(layout, shape), m.dense(2, shape[1], 2)))


def _dense_sparse(m: Maker, layout: Layout, shape: Shape) -> Call:
    return Call("matmul", (m.dense(3, shape[0]), m.sparse(layout, shape)))


def _batch_sparse(m: Maker, layout: Layout, shape: Shape) -> Call:
    return Call("matmul", (m.dense(2, 2, shape[0]), m.sparse(layout, shape)))


def _sparse_sparse(partner: str) -> Make:
    """a [R, C] in the layout under test, b [C, R] in the same layout or in `partner`."""
    def make(m: Maker, layout: Layout, shape: Shape) -> Call:
        other = layout if partner == "*" else parse_layout(partner)
        return Call("matmul", (m.sparse(layout, shape), m.sparse(other, shape[::-1])))
    return make


def _linear(tokens: tuple[int, ...], bias: bool) -> Make:
    def make(m: Maker, layout: Layout, shape: Shape) -> Call:
        w = m.sparse(layout, shape)
        return Call("linear", (m.dense(*tokens, shape[1]), w, m.dense(shape[0]) if bias else None))
    return make


def _conv2d(bias: bool, **window: Any) -> Make:
    """w [O, C*kh*kw] of the shape under test: the kernel is the largest of a few that divides its columns."""
    def make(m: Maker, layout: Layout, shape: Shape) -> Call:
        kernel = next(k for k in ((2, 3), (2, 2), (1, 2), (1, 1)) if shape[1] % (k[0] * k[1]) == 0)
        w = m.sparse(layout, shape)
        x = m.dense(2, shape[1] // (kernel[0] * kernel[1]), 4, 5)
        return Call("conv2d", (x, w, m.dense(shape[0]) if bias else None), {"kernel": kernel, **window})
    return make


VARIANTS: dict[str, tuple[Variant, ...]] = {
    "convert": tuple(Variant(f"to-{target}", ("*", target), _unary("convert", layout=target))
                     for target in ("masked", "coo", "csr", "csc", "ell", "dense")),
    "scale": (Variant("", ("*",), _scale),),
    "sum": (Variant("all", ("*",), _unary("sum", axis=None)), Variant("axis-0", ("*",), _unary("sum", axis=0)),
            Variant("axis-last", ("*",), _unary("sum", axis=-1))),
    "gelu": (Variant("erf", ("*",), _unary("gelu", approximate="none")),
             Variant("tanh", ("*",), _unary("gelu", approximate="tanh"))),
    "matmul": (Variant("sparse-dense", ("*", ARRAY), _sparse_dense), Variant("sparse-batch", ("*", ARRAY), _sparse_batch),
               Variant("dense-sparse", (ARRAY, "*"), _dense_sparse), Variant("batch-sparse", (ARRAY, "*"), _batch_sparse),
               Variant("sparse-sparse", ("*", "*"), _sparse_sparse("*")),
               Variant("sparse-csr", ("*", "csr"), _sparse_sparse("csr"))),
    "linear": (Variant("bias", (ARRAY, "*"), _linear((3,), True)), Variant("no-bias", (ARRAY, "*"), _linear((4,), False)),
               Variant("one-token", (ARRAY, "*"), _linear((), True)), Variant("batch", (ARRAY, "*"), _linear((2, 3), True))),
    "conv2d": (Variant("bias-padding", (ARRAY, "*"), _conv2d(True, stride=1, padding=1, dilation=1)),
               Variant("stride", (ARRAY, "*"), _conv2d(False, stride=(2, 1), padding=(0, 1), dilation=1)),
               Variant("dilation", (ARRAY, "*"), _conv2d(True, stride=1, padding=(1, 2), dilation=(1, 2)))),
}


def variants(operator: Operator) -> tuple[Variant, ...]:
    """An operator's variants; one that the table does not know is called with one operand, or two of a shape."""
    if operator.name in VARIANTS:
        return VARIANTS[operator.name]
    if operator.sparse_operands == 1:
        return (Variant("", ("*",), _unary(operator.name)),)
    return tuple(Variant(f"with-{partner}", ("*", partner), _with(operator.name, partner)) for partner in ("*", ARRAY, "csr"))


def scenarios_for(dtype: np.dtype[Any], gradient: bool) -> Iterator[Scenario]:
    """All scenarios for float32; for the other dtypes those in which the dtype matters."""
    thin = ("exact", "exact-disordered", "extreme-integers", "normal", "special-partner", "poisoned-padding", "empty-exact")
    for scenario in GRADIENT_SCENARIOS if gradient else SCENARIOS:
        if ("i" if dtype.kind == "i" else "f") in scenario.kinds and (dtype.name == "float32" or scenario.name in thin):
            yield scenario


def case_shapes(layout: Layout, scenario: Scenario, every: bool, turn: int) -> list[Shape]:
    """The scenario's own shape; else one a case, another for each turn, or every one.  Empty scenarios: a side of length 0."""
    if scenario.shape:
        return [scenario.shape] if describes(layout, scenario.shape) else []
    if scenario.empty:
        rows, columns = max(shapes(layout), default=(1, 1))
        return [shape for shape in ((0, columns), (rows, 0), (0, 0)) if describes(layout, shape)]
    fitting = [shape for shape in shapes(layout) if scenario.applies(layout, shape)]
    return fitting if every or not fitting else [fitting[turn % len(fitting)]]


ANY_AXES = ("to_dense", "convert", "scale", "relu", "gelu", "add", "multiply", "sum")
"""The operators that take arrays of any number of axes."""


def takes(operator: Operator, variant: Variant, shape: Shape) -> bool:
    """False where the operator, or a partner in a fixed layout, takes matrices only and the shape is none."""
    partners = [parse_layout(name) for name in variant.cell if name not in ("*", ARRAY)]
    return len(shape) == 2 or (operator.name in ANY_AXES and all(describes(partner, shape) for partner in partners))


def operator_cases(profile: str) -> Iterator[Case]:
    """Every case of L1 to L3 that runs an operator or its gradient.

    float32 runs every variant in every scenario; the other dtypes one variant each, in turn (full: every variant).
    """
    for name, layout_name in product(operators.names(), layouts.names()):
        operator = get_operator(name)
        examples = [parse_layout(text) for text in instances(layouts.get(layout_name))]
        for turn, dtype in enumerate(map(value_dtype, operator.dtypes)):
            forms = variants(operator)
            if profile != "full" and dtype.name != "float32":
                forms = (forms[turn % len(forms)],)
            for variant, gradient in product(forms, (False, True)):
                if gradient and dtype.kind == "i":
                    continue
                yield from _scenario_cases(operator, variant, examples, dtype, gradient, profile)


def _scenario_cases(operator: Operator, variant: Variant, examples: list[Layout], dtype: np.dtype[Any], gradient: bool,
                    profile: str) -> Iterator[Case]:
    for turn, scenario in enumerate(scenarios_for(dtype, gradient)):
        every = profile == "full" and dtype.name == "float32"
        for layout in examples if profile == "full" else (examples[turn % len(examples)],):
            for shape in case_shapes(layout, scenario, every, turn):
                if takes(operator, variant, shape):
                    yield _case(operator, variant, layout, dtype.name, scenario, shape, gradient)


def _case(operator: Operator, variant: Variant, layout: Layout, dtype: str, scenario: Scenario, shape: Shape,
          gradient: bool) -> Case:
    def build(at: Shape, rng: np.random.Generator) -> Call:
        call = variant.make(Maker(scenario, value_dtype(dtype), rng), layout, at)
        return with_grad(operator, call, scenario, rng) if gradient else call

    cell = Cell(operator.name + ".gradient" * gradient, tuple(layout.name if x == "*" else x for x in variant.cell), dtype)
    name = "/".join(part for part in (str(layout), variant.name, scenario.name) if part)
    ask = Ask.ANSWER if operator.rounding is Rounding.GELU else scenario.ask
    return Case(scenario.level, cell, name, (*scenario.clauses, *operator_clauses(operator.name, gradient)), build, shape, ask,
                scenario.form)


PREFIX = {"to_dense": "TODENSE", "multiply": "MUL"}
GRADIENT_CLAUSE = {"TODENSE": "TODENSE-2", "RELU": "RELU-2", "CONV2D": "CONV2D-4"}


def operator_clauses(name: str, gradient: bool) -> tuple[str, ...]:
    """The clause of an operator's meaning, or of its gradient."""
    if name not in {operator.name for operator in BUILT_IN}:
        return ("OPS-1",)                                      # a third party's operator has the general clauses alone
    prefix = PREFIX.get(name, name.upper())
    if gradient:
        return (GRADIENT_CLAUSE.get(prefix, f"{prefix}-3"),)
    placed = () if get_operator(name).result is Result.DENSE else ("OPS-4",)
    return (f"{prefix}-1", *placed)


def with_grad(operator: Operator, call: Call, scenario: Scenario, rng: np.random.Generator) -> Call:
    """A forward call -> the gradient call with a random gradient of its result."""
    from ..operators.base import as_pair

    pairs = [None if operand is None else as_pair(operand) for operand in call.operands]
    with np.errstate(invalid="ignore", over="ignore"):
        shape = operator.meaning(*pairs, **call.parameters).shape
    dtype = next(operand.dtype for operand in call.operands if operand is not None)
    grad = Maker(scenario, dtype, rng).dense(*shape)
    return Call(f"{operator.name}.gradient", (grad, *call.operands), call.parameters)
