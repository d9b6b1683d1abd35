"""Vectors of the dense layout."""

from .making import array, by_hand, call, f32, generated, kept, refused, some, sparse

VECTORS = [
    by_hand("dense-encode", "DENSE-C1 CORE-C1", "values have the array's shape; the zero is stored.",
            call("encode", f32([[1, 0], [3, -0.0]]), kept("11 11"), layout="dense"),
            sparse("dense", (2, 2), values=f32([[1, 0], [3, -0.0]]))),
    by_hand("dense-decode", "DENSE-C1 CORE-V1", "Every element is the entry at its own position.",
            call("decode", sparse("dense", (3,), values=f32([4, 0, 6]))), f32([4, 0, 6])),
    by_hand("dense-decode-0d", "DENSE-C1", "The 0-dimensional shape has one entry.",
            call("decode", sparse("dense", (), values=array("int8", 5))), array("int8", 5)),
    by_hand("dense-bits", "CORE-B1", "6 float64 of 64 bits.", call("layout_bits", "dense", (2, 3), "float64"), 384),
    generated("dense-encode-3d", "DENSE-C1", "Three axes, int32.",
              call("encode", some((2, 2, 2), 3, "int32"), some((2, 2, 2), 3, "int32") > -9, layout="dense")),
    generated("dense-validate-empty", "DENSE-C1", "A side of 0.",
              call("validate", sparse("dense", (0, 3), values=f32([[0] * 3] * 0).reshape(0, 3)))),
    refused("dense-encode-false", "DENSE-C2", "One position is not in the pattern.",
            call("encode", f32([[1, 2]]), kept("10"), layout="dense")),
    generated("dense-encode-empty-pattern", "DENSE-C2", "Of no position at all none is False.",
              call("encode", f32([]).reshape(0, 2), kept("11")[:0], layout="dense")),
    refused("dense-shape", "CORE-A2", "values are [2], the shape is (3,).",
            call("validate", sparse("dense", (3,), values=f32([1, 2])))),
]
