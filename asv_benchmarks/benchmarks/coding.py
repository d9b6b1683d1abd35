"""A BERT-base weight [3072, 768] float32, chosen and placed by the reference: seconds, bits and energy."""

import numpy as np

import sparseref as sr

SHAPE = (3072, 768)
FORMATS = ["nmg:1:10:16", "nmg:2:8:8", "nmg:2:20:4,tail=short", "nm:2:8", "vnm:8:2:8", "bsr:4:4:0.75", "csr:0.75"]


class Encode:
    """Sparsify one weight: choose and place; decode it again."""

    version = "1"
    params = FORMATS
    param_names = ("format",)
    timeout = 120

    def setup(self, text):
        self.weight = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
        self.encoded = sr.sparsify(self.weight, text)
        sr.validate(self.encoded)
        if not sr.same_bits(sr.decode(self.encoded), np.where(self.encoded.pattern, self.weight, np.float32(0))):
            raise AssertionError(f"{text}: decode does not invert encode, so there is nothing to time")

    def time_sparsify(self, text):
        sr.sparsify(self.weight, text)

    def time_encode(self, text):
        sr.encode(self.weight, self.encoded.layout, self.encoded.pattern)

    def time_decode(self, text):
        sr.decode(self.encoded)

    def track_bits_per_entry(self, text):
        return self.encoded.bits / self.weight.size

    track_bits_per_entry.unit = "bits"

    def track_energy_kept(self, text):
        return sr.energy(self.weight, self.encoded)

    track_energy_kept.unit = "share"
