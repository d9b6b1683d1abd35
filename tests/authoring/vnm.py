"""Vectors of the vnm layout."""

from .making import NAN, array, by_hand, call, f32, generated, kept, line, refused, some, sparse, stored, u8


def vnm(layout, shape, values, idx):
    return sparse(layout, shape, values=values, idx=u8(idx))


VECTORS = [
    by_hand("vnm-encode", "VNM-C3 VNM-C4 CORE-C1",
            "Two tiles of 2 rows and 3 columns; tile 0 keeps column 0, tile 1 its column 1.",
            call("encode", f32([[9, 1, 0, 2, 4, 0], [8, 0, 1, 0, 5, 3]]), kept("100010 100010"), layout="vnm:2:1:3"),
            vnm("vnm:2:1:3", (2, 6), f32([[[[[9], [8]], [[4], [5]]]]]), [[[[0], [1]]]])),
    by_hand("vnm-decode", "VNM-C3", "One tile: rows 0 and 1 share the columns 1 and 2.",
            call("decode", vnm("vnm:2:2:3", (2, 3), f32([[[[[1, 2], [3, 4]]]]]), [[[[1, 2]]]])), f32([[0, 1, 2], [0, 3, 4]])),
    by_hand("vnm-axes", "VNM-C2 VNM-C3",
            "Columns count along axis 0, rows along axis 1: the tile keeps its column 1, entries (1, 0) and (1, 1).",
            call("decode", vnm("vnm:2:1:2,sparse_axis=0,vector_axis=1", (2, 2), f32([[[[[5], [6]]]]]), [[[[1]]]])),
            f32([[0, 0], [5, 6]])),
    by_hand("vnm-filling", "VNM-C6 CORE-P5", "1 of 2 rows and 3 of 4 columns are real: column 1 is kept, the lowest column "
            "beyond the array, 3, makes up the second; all else is +0.",
            call("encode", f32([[4, 5, 6]]), kept("010"), layout="vnm:2:2:4"),
            vnm("vnm:2:2:4", (1, 3), f32([[[[[5, 0], [0, 0]]]]]), [[[[1, 3]]]])),
    by_hand("vnm-filling-poisoned", "VNM-C6 CORE-P5", "Filled row and column hold NaN, which is not read.",
            call("decode", vnm("vnm:2:2:4", (1, 3), f32([[[[[5, NAN], [NAN, NAN]]]]]), [[[[1, 3]]]])), f32([[0, 5, 0]])),
    by_hand("vnm-bits", "CORE-B1", "2 x 2 tiles of 2 * (2 * 32 + 8) bits.", call("layout_bits", "vnm:2:2:4", (3, 5),
                                                                                 "float32"), 576),
    by_hand("vnm-string", "VNM-C1", "v = 1 is allowed.", call("parse_layout_string", "vnm:1:2:4"), "vnm:1:2:4"),
    by_hand("vnm-valid", "VNM-C4", "The last columns of the tile.",
            call("validate", vnm("vnm:1:2:4", (1, 4), f32([[[[[1, 2]]]]]), [[[[2, 3]]]])), None),
    by_hand("vnm-whole-columns", "VNM-C5", "Both rows of each tile keep the same column; the tiles may differ.",
            call("encode", f32([[1, 2], [3, 4], [5, 6]]), kept("10 10 01"), layout="vnm:2:1:2"),
            vnm("vnm:2:1:2", (3, 2), f32([[[[[1], [3]]], [[[6], [0]]]]]), [[[[0]], [[1]]]])),
    generated("vnm-encode-3d", "VNM-C2 VNM-C3", "Three axes, int32.",
              call("sparsify_seeded", some((3, 2, 5), 28, "int32"), "vnm:2:1:3,sparse_axis=2")),
    generated("vnm-encode-empty", "VNM-C6", "0 rows.",
              call("encode", f32([]).reshape(0, 3), kept("100")[:0], layout="vnm:2:1:3")),
    generated("vnm-linear", "VNM-C3", "A weight with both tails.",
              call("linear", some((2, 5), 29), stored("vnm:2:2:4", (3, 5), 30), None)),
    refused("vnm-v-zero", "VNM-C1", "v = 0.", call("parse_layout_string", "vnm:0:2:4")),
    refused("vnm-n-above-m", "VNM-C1", "n = 5, m = 4.", call("parse_layout_string", "vnm:2:5:4")),
    refused("vnm-m-large", "VNM-C1", "m = 65,537.", call("parse_layout_string", "vnm:2:1:65537")),
    refused("vnm-axes-one", "VNM-C2", "Axis -1 of a matrix is axis 1.",
            call("encode", f32([[1, 2]]), kept("10"), layout="vnm:1:1:2,vector_axis=-1")),
    refused("vnm-1d", "VNM-C2", "A line has one axis.", call("encode", f32([1, 2]), line("10"), layout="vnm:1:1:2")),
    refused("vnm-idx-high", "VNM-C4", "Column 4 of 0..3.",
            call("validate", vnm("vnm:1:2:4", (1, 4), f32([[[[[1, 2]]]]]), [[[[0, 4]]]]))),
    refused("vnm-idx-twice", "VNM-C4", "Column 1 twice.",
            call("validate", vnm("vnm:1:2:4", (1, 4), f32([[[[[1, 2]]]]]), [[[[1, 1]]]]))),
    refused("vnm-idx-falls", "VNM-C4", "Column 3 before 1.",
            call("validate", vnm("vnm:1:2:4", (1, 4), f32([[[[[1, 2]]]]]), [[[[3, 1]]]]))),
    refused("vnm-rows-differ", "VNM-C5", "Row 0 keeps column 0, row 1 column 1.",
            call("encode", f32([[1, 2], [3, 4]]), kept("10 01"), layout="vnm:2:1:2")),
    refused("vnm-too-many", "VNM-C5", "Two columns of 1:3.", call("encode", f32([[1, 2, 3]]), kept("110"), layout="vnm:1:1:3")),
    refused("vnm-too-few", "VNM-C5", "No column of a whole tile.",
            call("encode", f32([[1, 2]]), array("bool", [[False, False]]), layout="vnm:1:1:2")),
]
