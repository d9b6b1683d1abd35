"""A weight [768, 768], chosen, placed and read by every backend: seconds, bits and energy."""

import numpy as np

import sparseref as sr
from sparseref.registry import parse_layout
from sparseref.sparsifiers import own_sparsifier

from .checked import SAMPLING, checked, drawn, made_sparse, woken

SHAPE = (768, 768)
BACKENDS = ["reference", "torch", "jax", "c"]
FORMATS = ["nmg:1:10:16", "nmg:2:8:8", "nmg:2:20:4,tail=short", "nm:2:8", "vnm:8:2:8", "bsr:4:4:0.75", "csr:0.75"]


class Coding:
    """Through the protocol, NumPy arrays in and out."""

    version = "3"
    params = (BACKENDS, FORMATS)
    param_names = ("backend", "format")
    timeout, rounds, repeat = 120, 1, SAMPLING

    def setup_cache(self):
        return made_sparse(FORMATS, *SHAPE)

    def setup(self, arrays, backend, text):
        self.dense, self.a = drawn(*SHAPE), arrays[text]
        self.pattern, self.layout = self.a.pattern, str(self.a.layout)
        self.backend, _ = checked(backend, "encode", self.dense, self.pattern, layout=self.layout)
        checked(backend, "decode", self.a)
        woken(lambda: self.time_encode(arrays, backend, text))
        woken(lambda: self.time_decode(arrays, backend, text))

    def time_encode(self, arrays, backend, text):
        self.backend.call("encode", self.dense, self.pattern, layout=self.layout)

    def time_decode(self, arrays, backend, text):
        self.backend.call("decode", self.a)


class Selecting:
    """A layout's own sparsifier."""

    version = "3"
    params = (BACKENDS, [text for text in FORMATS if "." not in text])
    param_names = ("backend", "format")
    timeout, rounds, repeat = 120, 1, SAMPLING

    def setup(self, backend, text):
        self.dense, self.sparsifier = drawn(*SHAPE), str(own_sparsifier(parse_layout(text)))
        self.backend, _ = checked(backend, "select", self.dense, None, None, sparsifier=self.sparsifier)
        woken(lambda: self.time_select(backend, text))

    def time_select(self, backend, text):
        self.backend.call("select", self.dense, None, None, sparsifier=self.sparsifier)


class Keeping:
    """What a format keeps of a weight, and in how much room; nothing of it depends on the machine."""

    version = "2"
    params = FORMATS
    param_names = ("format",)

    def setup_cache(self):
        return made_sparse(FORMATS, *SHAPE)

    def track_bits_per_entry(self, arrays, text):
        return arrays[text].bits / np.prod(SHAPE)

    track_bits_per_entry.unit = "bits"

    def track_energy_kept(self, arrays, text):
        return sr.energy(drawn(*SHAPE), arrays[text])

    track_energy_kept.unit = "share"
