"""Vectors of the masked layout."""

from .making import NAN, array, by_hand, call, f32, generated, kept, line, refused, some, sparse

VECTORS = [
    by_hand("masked-encode", "MASKED-C1 MASKED-C2 CORE-P5",
            "The mask is the pattern; 2, which is not in it, becomes +0, and so does -0.",
            call("encode", f32([[1, 2], [-0.0, 4]]), kept("10 01"), layout="masked"),
            sparse("masked", (2, 2), values=f32([[1, 0], [0, 4]]), mask=kept("10 01"))),
    by_hand("masked-decode", "MASKED-C1 MASKED-C2", "Under a False lies padding: the NaN is not read. The stored -0 stays.",
            call("decode", sparse("masked", (3,), values=f32([-0.0, NAN, 3]), mask=line("101"))), f32([-0.0, 0, 3])),
    by_hand("masked-pattern", "MASKED-C1", "The mask, whatever the values.",
            call("pattern", sparse("masked", (3,), values=f32([0, NAN, 3]), mask=line("101"))), line("101")),
    by_hand("masked-bits", "CORE-B1", "6 elements of 16 bits and 6 bytes of mask.",
            call("layout_bits", "masked", (2, 3), "bfloat16"), 144),
    by_hand("masked-0d", "MASKED-C1", "One entry, not stored.",
            call("encode", array("float16", 5), array("bool", False), layout="masked"),
            sparse("masked", (), values=array("float16", 0), mask=array("bool", False))),
    generated("masked-encode-3d", "MASKED-C1", "Three axes, int8.",
              call("encode", some((2, 3, 2), 4, "int8"), some((2, 3, 2), 4, "int8") > 0, layout="masked")),
    generated("masked-decode-empty", "MASKED-C2", "A side of 0.",
              call("decode", sparse("masked", (2, 0), values=f32([[], []]), mask=array("bool", [[], []])))),
    refused("masked-mask-dtype", "CORE-A2", "The mask is int8.",
            call("validate", sparse("masked", (2,), values=f32([1, 2]), mask=array("int8", [1, 0])))),
]
