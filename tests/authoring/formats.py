"""Vectors of the output formats."""

from .making import by_hand, call, f32, generated, i32, refused, some, sparse

LINE = f32([[1, -3, 0.5, 4]])


def csr(indices, values):
    return sparse("csr", (1, 4), indptr=i32([0, len(values)]), indices=i32(indices), values=f32(values))


VECTORS = [
    by_hand("format-four-parts", "FMT-1",
            "Inline 1.0 drops the 0.5; coo stores three; of size 4 half is dropped: 4 and -3 stay, in csr.",
            call("store", LINE, "scalar-threshold,threshold=1.0", "coo", "scalar-fraction:0.5", "csr"), csr([1, 3], [-3, 4])),
    by_hand("format-dense-temporary", "FMT-1", "dense stores the zero that the inline sparsifier wrote, and keep-all keeps it.",
            call("store", LINE, "scalar-threshold,threshold=1.0", "dense", "keep-all", "csr"),
            csr([0, 1, 2, 3], [1, -3, 0, 4])),
    by_hand("format-sparse-temporary", "FMT-1", "coo does not store it.",
            call("store", LINE, "scalar-threshold,threshold=1.0", "coo", "keep-all", "csr"), csr([0, 1, 3], [1, -3, 4])),
    by_hand("format-streaming", "FMT-2", "keep-all is streaming.", call("store", LINE, "keep-all", "dense", "keep-all", "csr"),
            csr([0, 1, 2, 3], [1, -3, 0.5, 4])),
    refused("format-inline-materializing", "FMT-2", "scalar-fraction must see the whole tensor.",
            call("store", LINE, "scalar-fraction:0.5", "dense", "keep-all", "csr")),
    refused("format-inline-blocking", "FMT-2", "nm must see a block.",
            call("store", LINE, "nm:2:4", "dense", "keep-all", "csr")),
    by_hand("format-short", "FMT-3", "All into dense, the larger half of it into csr.",
            call("store_short", LINE, "scalar-fraction:0.5", "csr"), csr([1, 3], [-3, 4])),
    generated("format-short-nmg", "FMT-3", "A result of 5 x 7 in 2:4:1.",
              call("store_short", some((5, 7), 70), "nmg:2:4:1", "nmg:2:4:1")),
    by_hand("format-string-fraction", "FMT-4", "csr takes every pattern: 0.9 of the entries are dropped.",
            call("format_parts", "csr:0.9"), ("scalar-fraction:0.9", "csr")),
    by_hand("format-string-blocks", "FMT-4", "Of blocks for bsr.", call("format_parts", "bsr:4:4:0.75"),
            ("block-fraction:4:4:0.75", "bsr:4:4")),
    by_hand("format-string-own", "FMT-4", "No part with a point: the layout's own.", call("format_parts", "nmg:2:8:8"),
            ("nmg:2:8:8", "nmg:2:8:8")),
    refused("format-string-fixed", "FMT-4", "nm:2:4 leaves no fraction to choose.", call("format_parts", "nm:2:4:0.5")),
    refused("format-string-dense", "FMT-4", "Nor does dense.", call("format_parts", "dense:0.5")),
]
