"""Vectors of the nmg layout and of its sparsifiers: patterns, chunks, tails, greedy and optimal choice."""

from .making import INF, NAN, array, by_hand, call, f32, generated, kept, line, refused, some, sparse, stored, u8


def nmg(layout, shape, values, idx):
    return sparse(layout, shape, values=values, idx=u8(idx))


def slots(*values):
    """values of one plane and block row with n = 1 -> [1, 1, S, 1]."""
    return f32([[[[value] for value in values]]])


def choose(layout, dense, scores=None):
    return call("select", dense, scores, None, sparsifier=layout)


FOUR = f32([[0, 2, 3, 0], [1, 0, 0, 4]])                    # fibres 1 and 2 keep row 0, fibres 0 and 3 keep row 1
FIVE = f32([[1, 2, 0, 0, 0], [0, 0, 3, 4, 5]])
GAP = f32([[3, 2], [2, 0]])
SUMS = f32([[1, 3, 2], [2, 1, 2], [3, 1, 2]])

VECTORS = [
    by_hand("nmg-patterns-2-4", "NMG-C3", "The example of the text: 01 02 12 13 03 23.", call("patterns", 2, 4),
            array("int64", [[0, 1], [0, 2], [1, 2], [1, 3], [0, 3], [2, 3]])),
    by_hand("nmg-patterns-3-4", "NMG-C3", "f(3,4,F) is f(3,3,T) = 012, then 3 appended to f(2,3,T). That is f(2,2,T) = 01, "
            "then 2 appended to f(1,2,F) = f(1,1,T), f(0,1,T)1 = 0, 1: so 01 02 12.", call("patterns", 3, 4),
            array("int64", [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])),
    by_hand("nmg-patterns-1-3", "NMG-C3", "f(1,3,F) is f(1,2,T) = 0 1, then 2.", call("patterns", 1, 3),
            array("int64", [[0], [1], [2]])),
    by_hand("nmg-patterns-all", "NMG-C3", "n = m: the single pattern 0..n-1.", call("patterns", 3, 3),
            array("int64", [[0, 1, 2]])),
    *(generated(f"nmg-patterns-{n}-{m}", "NMG-C3", "Neighbours differ in exactly one place.", call("patterns", n, m))
      for n, m in ((2, 5), (3, 6), (4, 6))),
    by_hand("nmg-encode", "NMG-C4 NMG-C10 CORE-C1",
            "Pattern 0 is row 0, kept by fibre 1: 6; pattern 1 is row 1, kept by fibre 0: 7.",
            call("encode", f32([[5, 6], [7, 8]]), kept("01 10"), layout="nmg:1:2:1"),
            nmg("nmg:1:2:1", (2, 2), slots(6, 7), [[[1, 0]]])),
    by_hand("nmg-encode-rising", "NMG-C10", "Each pattern's fibres rise: row 0 has 1 and 2, row 1 has 0 and 3.",
            call("encode", FOUR, FOUR != 0, layout="nmg:1:2:2"), nmg("nmg:1:2:2", (2, 4), slots(2, 3, 1, 4), [[[1, 2, 0, 3]]])),
    by_hand("nmg-decode", "NMG-C4", "The patterns of 2:3 are 01 02 12. Slot 0 is fibre 2 in rows 0 and 1, slot 1 fibre 0 in "
            "rows 0 and 2, slot 2 fibre 1 in rows 1 and 2.",
            call("decode", nmg("nmg:2:3:1", (3, 3), f32([[[[1, 2], [3, 4], [5, 6]]]]), [[[2, 0, 1]]])),
            f32([[3, 0, 1], [0, 5, 2], [4, 6, 0]])),
    by_hand("nmg-decode-second-chunk", "NMG-C4",
            "Chunks of two fibres; idx counts from the start of its chunk: slot 2 is fibre 2 + 1.",
            call("decode", nmg("nmg:1:2:1", (2, 4), slots(1, 2, 3, 4), [[[0, 1, 1, 0]]])), f32([[1, 0, 0, 3], [0, 2, 4, 0]])),
    by_hand("nmg-decode-permuted", "NMG-C5 CORE-C2",
            "Fibres of one pattern in any order: row 0 has 2 and 1, row 1 has 3 and 0.",
            call("decode", nmg("nmg:1:2:2", (2, 4), slots(3, 2, 4, 1), [[[2, 1, 3, 0]]])), FOUR),
    by_hand("nmg-not-canonical", "NMG-C10", "The same array: fibre 2 stands before fibre 1.",
            call("is_canonical", nmg("nmg:1:2:2", (2, 4), slots(3, 2, 4, 1), [[[2, 1, 3, 0]]])), False),
    by_hand("nmg-axes", "NMG-C2 NMG-C4",
            "Rows count along axis 1, fibres along axis 0: slot 0 is place 0 of fibre 1, entry (1, 0).",
            call("decode", nmg("nmg:1:2:1,sparse_axis=1,group_axis=0", (2, 2), slots(5, 6), [[[1, 0]]])),
            f32([[0, 6], [5, 0]])),
    by_hand("nmg-pad-tail", "NMG-C8 NMG-C10 CORE-P5", "Fibre 4 is alone in the second chunk of 4 and keeps row 1, whose slots "
            "there are 2 and 3: it takes 2. The filling 1, 2, 3 takes the free slots 0, 1, 3 and holds +0.",
            call("encode", FIVE, FIVE != 0, layout="nmg:1:2:2"),
            nmg("nmg:1:2:2", (2, 5), slots(1, 2, 3, 4, 0, 0, 5, 0), [[[0, 1, 2, 3, 1, 2, 0, 3]]])),
    by_hand("nmg-short-tail", "NMG-C9 NMG-C10", "1 fibre is left, so ceil(1 / 2) = 1 slot for each pattern: fibre 4 takes "
            "that of row 1, the filling that of row 0.", call("encode", FIVE, FIVE != 0, layout="nmg:1:2:2,tail=short"),
            nmg("nmg:1:2:2,tail=short", (2, 5), slots(1, 2, 3, 4, 0, 5), [[[0, 1, 2, 3, 1, 0]]])),
    by_hand("nmg-short-tail-poisoned", "NMG-C9 CORE-P5", "The filling's slot 4 holds NaN, which is not read.",
            call("decode", nmg("nmg:1:2:2,tail=short", (2, 5), slots(1, 2, 3, 4, NAN, 5), [[[0, 1, 2, 3, 1, 0]]])), FIVE),
    by_hand("nmg-row-tail", "NMG-C8 NMG-C10", "One row and one fibre, not kept. Pattern 1 keeps no real row, as the fibre "
            "does: slot 1 is the fibre's, slot 0 the filling's.", call("encode", f32([[9]]), kept("0"), layout="nmg:1:2:1"),
            nmg("nmg:1:2:1", (1, 1), slots(0, 0), [[[1, 0]]])),
    by_hand("nmg-sizes", "NMG-C8", "3072 columns in 2:20:4: C = 190, chunks of 760, 5 of them: 3800 slots, and 1 block of 20 "
            "rows; 760 > 256, so idx is uint16.", call("fields", "nmg:2:20:4", (20, 3072)),
            (("idx", "uint16", (1, 1, 3800)), ("values", "value", (1, 1, 3800, 2)))),
    by_hand("nmg-sizes-short", "NMG-C9", "4 * 760 = 3040 and 32 are left, ceil(32 / 190) = 1: 3040 + 190 = 3230 slots.",
            call("fields", "nmg:2:20:4,tail=short", (20, 3072)),
            (("idx", "uint16", (1, 1, 3230)), ("values", "value", (1, 1, 3230, 2)))),
    by_hand("nmg-index-uint8", "NMG-C7", "C(8, 2) * 8 = 28 * 8 = 224 fibres a chunk fit a byte.",
            call("fields", "nmg:2:8:8", (8, 224)), (("idx", "uint8", (1, 1, 224)), ("values", "value", (1, 1, 224, 2)))),
    by_hand("nmg-bits", "CORE-B1", "2 block rows of 6 slots of 1 * 32 + 8 bits.",
            call("layout_bits", "nmg:1:3:2", (6, 6), "float32"), 480),
    by_hand("nmg-string", "NMG-C1", "Both tails are known; pad is the default.",
            call("parse_layout_string", "nmg:2:4:1,tail=pad"), "nmg:2:4:1"),
    by_hand("nmg-valid", "NMG-C5", "Every fibre of both chunks once.",
            call("validate", nmg("nmg:1:2:1", (2, 4), slots(1, 2, 3, 4), [[[0, 1, 1, 0]]])), None),
    by_hand("nmg-fits", "NMG-C6", "Two block rows, each pattern once in each.",
            call("encode", f32([[1, 0], [0, 2], [0, 3], [4, 0]]), kept("10 01 01 10"), layout="nmg:1:2:1"),
            nmg("nmg:1:2:1", (4, 2), f32([[[[1], [2]], [[3], [4]]]]), [[[0, 1], [1, 0]]])),
    generated("nmg-encode-3d", "NMG-C2 NMG-C4", "Rows along axis 0, fibres along axis 2, planes along axis 1; float16.",
              call("sparsify_seeded", some((4, 2, 7), 21, "float16"), "nmg:2:4:1,group_axis=2")),
    generated("nmg-encode-rows-and-fibres", "NMG-C8", "5 rows of blocks of 4, 7 fibres of chunks of 6.",
              call("sparsify_seeded", some((5, 7), 22, "float64"), "nmg:2:4:1")),
    generated("nmg-encode-short", "NMG-C9", "13 fibres in chunks of 12, the tail with g = 1.",
              call("sparsify_seeded", some((4, 13), 23, "int8"), "nmg:2:4:2,tail=short")),
    generated("nmg-encode-no-fibres", "NMG-C8", "A side of 0 along the group axis.",
              call("encode", f32([[], []]), array("bool", [[], []]), layout="nmg:1:2:1")),
    generated("nmg-linear", "NMG-C4", "A weight in 2:4:1 with both tails, batched inputs.",
              call("linear", some((2, 2, 7), 24), stored("nmg:2:4:1", (5, 7), 25), some((5,), 26))),
    refused("nmg-n-zero", "NMG-C1", "n = 0.", call("parse_layout_string", "nmg:0:4:1")),
    refused("nmg-n-above-m", "NMG-C1", "n = 5, m = 4.", call("parse_layout_string", "nmg:5:4:1")),
    refused("nmg-m-large", "NMG-C1", "m = 257.", call("parse_layout_string", "nmg:1:257:1")),
    refused("nmg-tail-unknown", "NMG-C1", "A tail policy that does not exist.",
            call("parse_layout_string", "nmg:1:2:1,tail=cut")),
    refused("nmg-axes-one", "NMG-C2", "Axis -1 of a matrix is axis 1.",
            call("encode", f32([[1, 2], [3, 4]]), kept("10 01"), layout="nmg:1:2:1,sparse_axis=-1")),
    refused("nmg-axes-missing", "NMG-C2", "A line has one axis.", call("encode", f32([1, 2]), line("10"), layout="nmg:1:2:1")),
    refused("nmg-axes-high", "NMG-C2", "There is no axis 2.",
            call("encode", f32([[1]]), kept("1"), layout="nmg:1:2:1,group_axis=2")),
    refused("nmg-idx-twice", "NMG-C5", "Fibre 1 twice, fibre 0 never.",
            call("validate", nmg("nmg:1:2:1", (2, 2), slots(1, 2), [[[1, 1]]]))),
    refused("nmg-idx-high", "NMG-C5", "Fibre 2 of a chunk of 2.",
            call("validate", nmg("nmg:1:2:1", (2, 2), slots(1, 2), [[[0, 2]]]))),
    refused("nmg-idx-other-chunk", "NMG-C5", "Numbers of the array instead of the chunk.",
            call("validate", nmg("nmg:1:2:1", (2, 4), slots(1, 2, 3, 4), [[[0, 1, 2, 3]]]))),
    refused("nmg-idx-filling-missing", "NMG-C5", "The filling has slots too: fibre 0 cannot take them all.",
            call("validate", nmg("nmg:1:2:1", (2, 1), slots(1, 0), [[[0, 0]]]))),
    refused("nmg-pattern-too-often", "NMG-C6", "Row 0 is kept by both fibres, and has one slot.",
            call("encode", f32([[1, 2], [3, 4]]), kept("11 00"), layout="nmg:1:2:1")),
    refused("nmg-fibre-empty", "NMG-C6", "Fibre 1 keeps nothing of a whole block.",
            call("encode", f32([[1, 2], [3, 4]]), kept("10 00"), layout="nmg:1:2:1")),
    refused("nmg-fibre-full", "NMG-C6", "Fibre 0 keeps two rows of 1:2.",
            call("encode", f32([[1, 2], [3, 4]]), kept("10 11"), layout="nmg:1:2:1")),
    refused("nmg-row-tail-too-many", "NMG-C6", "In a block row of one real row two patterns of 1:3 keep none: the fibres 0 "
            "and 1 keep it, and pattern 0 has one slot.", call("encode", f32([[1, 2, 3]]), kept("110"), layout="nmg:1:3:1")),
    refused("nmg-g-zero", "NMG-C7", "g = 0.", call("parse_layout_string", "nmg:2:4:0")),
    refused("nmg-g-large", "NMG-C7", "C(20, 5) * 5 = 15,504 * 5 = 77,520 > 65,536.", call("parse_layout_string", "nmg:5:20:5")),
    refused("nmg-patterns-too-many", "NMG-C7", "C(20, 10) = 184,756 > 65,536 for any g.",
            call("parse_layout_string", "nmg:10:20:1")),
    refused("nmg-idx-width", "CORE-A2", "idx is uint16 where a byte is enough.",
            call("validate", sparse("nmg:1:2:1", (2, 2), values=slots(1, 2), idx=array("uint16", [[[0, 1]]])))),
    by_hand("nmg-greedy-ties", "NMGS-S3", "All scores are 1: fibre 0 takes the lower pattern, row 0; fibre 1 has row 1 left.",
            choose("nmg:1:2:1", f32([[1, -1], [1, 1]])), kept("10 01")),
    by_hand("nmg-greedy-sums", "NMGS-S1 NMGS-S2 NMGS-S3", "Scores of 01, 02, 12: fibre 0 has 3 4 5, fibre 1 has 4 4 2, fibre "
            "2 has 4 4 4. Taken: fibre 0 with 12; of the fours fibre 1 with 01, the lower pattern; then fibre 2 with 02.",
            choose("nmg:2:3:1", SUMS), kept("011 110 101")),
    by_hand("nmg-greedy-gap", "NMGS-S2", "3 is taken first, fibre 0 with row 0, so fibre 1 is left with row 1: 3 + 0.",
            choose("nmg:1:2:1", GAP), kept("10 01")),
    by_hand("nmg-optimal-gap", "NMGO-S1 NMGO-S2", "The other way keeps 2 + 2 = 4, the most.", choose("nmg-optimal:1:2:1", GAP),
            kept("01 10")),
    by_hand("nmg-greedy-gap-energy", "SPF-11", "3 of 7.", call("energy", GAP, kept("10 01")), 3 / 7),
    by_hand("nmg-optimal-gap-energy", "SPF-11", "4 of 7.", call("energy", GAP, kept("01 10")), 4 / 7),
    by_hand("nmg-greedy-scores", "NMGS-S2 SPF-2", "The scores decide, not the values: best is fibre 1 with row 0.",
            choose("nmg:1:2:1", GAP, array("float64", [[1, 9], [8, 0]])), kept("01 10")),
    by_hand("nmg-greedy-nan", "NMGS-S2 SPF-3", "A NaN counts as inf and is paired first.",
            choose("nmg:1:2:1", f32([[9, 1], [NAN, 1]])), kept("01 10")),
    by_hand("nmg-greedy-filling", "NMGS-S4",
            "The one real fibre takes row 1, its best; the filling has row 0, which is no position.",
            choose("nmg:1:2:1", f32([[1], [5]])), kept("0 1")),
    by_hand("nmg-greedy-filling-ties", "NMGS-S4 NMGS-S3", "All is 0: the real fibre is the lower one and takes row 0.",
            choose("nmg:1:2:1", f32([[0], [0]])), kept("1 0")),
    generated("nmg-greedy-wide", "NMGS-S2 NMGS-S3", "Two block rows, two chunks and a tail, many ties.",
              choose("nmg:2:4:1", some((7, 14), 27))),
    generated("nmg-greedy-wide-short", "NMGS-S4", "The same with a short tail and the axes exchanged.",
              choose("nmg:1:3:2,sparse_axis=1,group_axis=0,tail=short", some((14, 7), 27, "bfloat16"))),
    refused("nmg-optimal-infinite", "NMGO-S2", "A score is infinite.", choose("nmg-optimal:1:2:1", f32([[INF, 1], [1, 1]]))),
    refused("nmg-optimal-nan", "NMGO-S2", "A NaN counts as inf.", choose("nmg-optimal:1:2:1", f32([[NAN, 1], [1, 1]]))),
    refused("nmg-greedy-1d", "NMG-C2", "A line has one axis.", choose("nmg:1:2:1", f32([1, 2]))),
]
