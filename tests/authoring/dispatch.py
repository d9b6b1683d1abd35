"""Vectors of dispatch: a backend that declares the given cells alone, and the route of a call on it."""

from .making import array, by_hand, call, f32, generated, refused, sparse

# . 5 / 6 . takes 2 * (32 + 8) = 80 bits
W = sparse("nm:1:2", (2, 2), values=f32([[[5]], [[6]]]), idx=array("uint8", [[[1]], [[0]]]))
LINEAR = call("linear", f32([[1, 10]]), W, None)
NM, CSR, CSC, COO, PLAIN = (f"linear[array x {layout}, float32]" for layout in ("nm", "csr", "csc", "coo", "array"))
ANSWER = f32([[50, 6]])

VECTORS = [
    by_hand("dispatch-exact", "DSP-1 DSP-5", "The cell itself is implemented: nothing moves.", call("route", LINEAR,
                                                                                                    (COO, NM)),
            ("exact", NM, True, (), 0)),
    by_hand("dispatch-exact-result", "DSP-1", "10 * 5 and 1 * 6, without a warning.", call("run_scripted", LINEAR, (NM,)),
            (ANSWER, 0)),
    by_hand("dispatch-cheapest", "DSP-2 DSP-5",
            "80 bits are read; coo writes 2 * (32 + 64) = 192, csr 2 * 64 + 3 * 32 = 224: coo, 272 in all.",
            call("route", LINEAR, (CSR, COO, PLAIN)), ("converted", COO, True, ((1, "nm", "coo", 272),), 272)),
    by_hand("dispatch-tie", "DSP-2", "csc and csr of a square matrix cost the same, 80 + 224: csc comes first in the alphabet.",
            call("route", LINEAR, (CSR, CSC)), ("converted", CSC, True, ((1, "nm", "csc", 304),), 304)),
    by_hand("dispatch-converted-result", "DSP-2", "The same answer, without a warning.", call("run_scripted", LINEAR, (CSR,)),
            (ANSWER, 0)),
    by_hand("dispatch-dense", "DSP-3 DSP-5", "Only plain arrays: 80 bits read, 4 * 32 written.",
            call("route", LINEAR, (PLAIN,)), ("dense", PLAIN, True, ((1, "nm", "array", 208),), 208)),
    by_hand("dispatch-dense-result", "DSP-3", "The same answer, with one warning.", call("run_scripted", LINEAR, (PLAIN,)),
            (ANSWER, 1)),
    by_hand("dispatch-strict-converted", "DSP-4", "Strict allows lossless conversions.",
            call("route", LINEAR, (CSR,), strict=True), ("converted", CSR, True, ((1, "nm", "csr", 304),), 304)),
    refused("dispatch-strict", "DSP-4", "Strict, and only plain arrays.", call("route", LINEAR, (PLAIN,), strict=True)),
    refused("dispatch-strict-run", "DSP-4", "Running it is refused as explaining it is.",
            call("run_scripted", LINEAR, (PLAIN,), strict=True)),
    refused("dispatch-nothing", "DSP-4", "No cell at all.", call("route", LINEAR, ())),
    by_hand("dispatch-backend", "DSP-6", "The reference is registered.", call("backend_name", "reference"), "reference"),
    refused("dispatch-backend-unknown", "DSP-6", "Nobody registers this name.", call("backend_name", "no-such-backend")),
    generated("dispatch-gradient", "DSP-2 DSP-5",
              "A gradient's cell has its own name, and conversions count its operands from grad on.",
              call("route", call("linear.gradient", f32([[1, 2]]), f32([[1, 10]]), W, None),
                   ("linear.gradient[array x csr, float32]",))),
]
