"""linear, matmul and conv2d with a sparse weight on every backend, through the protocol: what NumPy's user gets."""

import numpy as np

from .checked import SAMPLING, checked, drawn, made_sparse, on_threads, woken

BACKENDS = ["reference", "torch", "jax", "c"]
FORMATS = ["nmg:2:20:4,tail=short", "nmg:2:8:8", "csr:0.9"]
WINDOW = {"kernel": (3, 3), "stride": 1, "padding": 1, "dilation": 1}


class Judged:
    """A weight [768, 768]; of conv2d [64, 64 * 9], and one image of side sqrt(tokens), rounded up."""

    version = "3"
    params = (BACKENDS, ["linear", "matmul", "conv2d"], FORMATS, [1, 128], [1, 2])
    param_names = ("backend", "operator", "format", "tokens", "threads")
    timeout, rounds, repeat = 120, 1, SAMPLING
    dtype = "float32"

    def setup_cache(self):
        """asv makes one cache for a class and those that inherit from it: both dtypes are in it."""
        return {dtype: {"square": made_sparse(FORMATS, 768, 768, dtype=dtype),
                        "kernels": made_sparse(FORMATS, 64, 576, dtype=dtype)} for dtype in ("float32", "bfloat16")}

    def setup(self, arrays, backend, operator, text, tokens, threads):
        on_threads(threads)
        arrays = arrays[self.dtype]
        side = int(np.ceil(np.sqrt(tokens)))
        x, bias = drawn(tokens, 768, dtype=self.dtype, seed=1), drawn(768, dtype=self.dtype, seed=2)
        image = drawn(1, 64, side, side, dtype=self.dtype, seed=1)
        self.operands, self.parameters = {
            "linear": ((x, arrays["square"][text], bias), {}),
            "matmul": ((arrays["square"][text], np.ascontiguousarray(x.T)), {}),
            "conv2d": ((image, arrays["kernels"][text], bias[:64]), WINDOW)}[operator]
        self.backend, self.ratio = checked(backend, operator, *self.operands, **self.parameters)
        woken(lambda: self.backend.call(operator, *self.operands, **self.parameters))


class Products(Judged):
    """Seconds of a call."""

    def time_call(self, arrays, backend, operator, text, tokens, threads):
        self.backend.call(operator, *self.operands, **self.parameters)


class NarrowProducts(Products):
    """The same in bfloat16, linear alone."""

    params = (BACKENDS, ["linear"], *Judged.params[2:])
    dtype = "bfloat16"


class Errors(Judged):
    """How far the same products are off, with 128 tokens on one thread."""

    params = (BACKENDS, ["linear", "matmul", "conv2d"], FORMATS, [128], [1])

    def track_error_over_bound(self, arrays, backend, operator, text, tokens, threads):
        return self.ratio

    track_error_over_bound.unit = "at most 1 conforms"


class NarrowErrors(Errors):
    """The same in bfloat16, linear alone."""

    params = (BACKENDS, ["linear"], FORMATS, [128], [1])
    dtype = "bfloat16"


class Memory:
    """The most that a process takes which multiplies once; that of an empty one with the same libraries is most of it."""

    version = "1"
    params = (BACKENDS, FORMATS)
    param_names = ("backend", "format")

    def setup_cache(self):
        return made_sparse(FORMATS, 768, 768)

    def setup(self, arrays, backend, text):
        self.operands = drawn(128, 768, seed=1), arrays[text], None
        self.backend, _ = checked(backend, "linear", *self.operands)

    def peakmem_linear(self, arrays, backend, text):
        self.backend.call("linear", *self.operands)
