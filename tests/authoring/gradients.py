"""Vectors of the gradients."""

from .making import INF, NAN, array, by_hand, call, f32, f64, generated, i32, refused, some, sparse, stored


def csr(values):
    return sparse("csr", (2, 3), indptr=i32([0, 1, 3]), indices=i32([1, 0, 2]), values=f32(values))


def line_of(places, values):
    return sparse("coo", (3,), coords=i32([places]), values=f32(values))


W = csr([7, 5, 6])                                                                        # . 7 . / 5 . 6
GRAD = f32([[1, 2, 3], [4, 5, 6]])

VECTORS = [
    by_hand("grad-in-own-slots", "GRAD-1 TODENSE-2", "grad at (0, 1), (1, 0), (1, 2), in W's own slots.",
            call("to_dense.gradient", GRAD, W), (csr([2, 4, 6]),)),
    by_hand("grad-duplicates", "GRAD-1", "Both slots of entry 1 get the whole 5; index arrays stay as they were.",
            call("to_dense.gradient", f32([4, 5, 6]), line_of([1, 1], [2, 3])), (line_of([1, 1], [5, 5]),)),
    by_hand("grad-padding", "GRAD-2", "The padding slot gets +0, the others 2, 4, 6.",
            call("to_dense.gradient", GRAD,
                 sparse("ell", (2, 3), indices=i32([[1, -1], [0, 2]]), values=f32([[7, NAN], [5, 6]]))),
            (sparse("ell", (2, 3), indices=i32([[1, -1], [0, 2]]), values=f32([[2, 0], [4, 6]])),)),
    by_hand("grad-convert", "CONVERT-3", "grad on what W stores.", call("convert.gradient", GRAD, W, layout="coo"),
            (csr([2, 4, 6]),)),
    by_hand("grad-float64", "GRAD-3", "dtype and shape of the result.", call("sum.gradient", f64(3), f64([1, 2]), axis=None),
            (f64([3, 3]),)),
    refused("grad-shape", "GRAD-3", "[3] for a result of [2, 3].", call("to_dense.gradient", f32([1, 2, 3]), W)),
    refused("grad-dtype", "GRAD-3", "float64 for a result of float32.",
            call("to_dense.gradient", f64([[1, 2, 3], [4, 5, 6]]), W)),
    refused("grad-integers", "GRAD-3", "Integers have no derivative.", call("relu.gradient", i32([1, 2]), i32([3, 4]))),
    by_hand("grad-matmul", "MATMUL-3",
            "a: grad b^T at W's slots: (0, 1) 1 * 3, (1, 0) 10 * 1, (1, 2) 10 * 5. b: W^T grad: 5 * 10, 7 * 1, 6 * 10.",
            call("matmul.gradient", f32([[1], [10]]), W, f32([[1], [3], [5]])), (csr([3, 10, 50]), f32([[50], [7], [60]]))),
    by_hand("grad-matmul-batch", "MATMUL-3",
            "The matrix gets the sum over the batch: 1 * 2 + 10 * 3 = 32; each of the batch 4 * its grad.",
            call("matmul.gradient", f32([[[1]], [[10]]]), f32([[4]]), f32([[[2]], [[3]]])),
            (f32([[32]]), f32([[[4]], [[40]]]))),
    by_hand("grad-linear", "LINEAR-3 GRAD-1",
            "x: grad W = 2 * 5, 1 * 7, 2 * 6. w: grad^T x at its slots: 1 * 2, 2 * 1, 2 * 3. bias: grad.",
            call("linear.gradient", f32([[1, 2]]), f32([[1, 2, 3]]), W, f32([0, 0])),
            (f32([[10, 7, 12]]), csr([2, 2, 6]), f32([1, 2]))),
    by_hand("grad-linear-no-bias", "LINEAR-3", "Two tokens: w gets 1 * 3 + 2 * 4; no bias, no gradient.",
            call("linear.gradient", f32([[1], [2]]), f32([[3], [4]]), f32([[5]]), None), (f32([[5], [10]]), f32([[11]]), None)),
    by_hand("grad-linear-annihilates", "LINEAR-3 CORE-P2",
            "grad is inf for row 1, which stores nothing in column 1: x gets 7 there, and inf elsewhere.",
            call("linear.gradient", f32([[1, INF]]), f32([[1, 2, 3]]), W, None),
            (f32([[INF, 7, INF]]), csr([2, INF, INF]), None)),
    by_hand("grad-add", "ADD-3", "grad on each operand's own slots.",
            call("add.gradient", f32([1, 2, 3]), line_of([0, 1], [9, 9]), line_of([1, 2], [8, 8])),
            (line_of([0, 1], [1, 2]), line_of([1, 2], [2, 3]))),
    by_hand("grad-multiply", "MUL-3", "Both store place 1: 2 * 8 and 2 * 9; elsewhere 0.",
            call("multiply.gradient", f32([1, 2, 3]), line_of([0, 1], [9, 9]), line_of([1, 2], [8, 8])),
            (line_of([0, 1], [0, 16]), line_of([1, 2], [18, 0]))),
    by_hand("grad-scale", "SCALE-3",
            "grad * 10 where stored; the factor gets 1 * 4 + 3 * 5, the NaN at place 1 not being stored.",
            call("scale.gradient", f32([1, NAN, 3]), line_of([0, 2], [4, 5]), f32(10)), (line_of([0, 2], [10, 30]), f32(19))),
    by_hand("grad-relu", "RELU-2", "Not 0 or less: 2 and NaN; -0 and -1 get +0.",
            call("relu.gradient", f32([1, 2, 3, 4]), f32([2, -0.0, NAN, -1])), (f32([1, 0, 3, 0]),)),
    by_hand("grad-gelu", "GELU-3", "At 0: Phi(0) = 1/2. At inf: 1. At -inf: 0.",
            call("gelu.gradient", f32([8, 8, 8]), f32([0, INF, -INF])), (f32([4, 8, 0]),)),
    generated("grad-gelu-tanh", "GELU-3", "The tanh form.",
              call("gelu.gradient", some((2, 3), 50), stored("csr", (2, 3), 51), approximate="tanh")),
    by_hand("grad-transpose", "TRANSPOSE-3", "grad is [3, 2]; its transpose at W's slots: (0, 1) is grad (1, 0).",
            call("transpose.gradient", f32([[1, 2], [3, 4], [5, 6]]), W), (csr([3, 2, 6]),)),
    by_hand("grad-sum", "SUM-3", "Each entry gets its row's grad.", call("sum.gradient", f32([1, 10]), W, axis=1),
            (csr([1, 10, 10]),)),
    by_hand("grad-conv2d", "CONV2D-4",
            "Kernel (2, 1) = 5 6 on 1 2 / 3 4. x: 5 * grad above, 6 * grad below. w: 1 * 1 + 10 * 2, 1 * 3 + 10 * 4.",
            call("conv2d.gradient", f32([[[[1, 10]]]]), f32([[[[1, 2], [3, 4]]]]), f32([[5, 6]]), None, kernel=(2, 1)),
            (f32([[[[5, 50], [6, 60]]]]), f32([[21, 43]]), None)),
    by_hand("grad-conv2d-overlap", "CONV2D-4",
            "Kernel (1, 2) = 5 6 on 1 2 3: the middle entry is in both patches, 6 * 1 + 5 * 10. bias: 1 + 10.",
            call("conv2d.gradient", f32([[[[1, 10]]]]), f32([[[[1, 2, 3]]]]), f32([[5, 6]]), f32([0]), kernel=(1, 2)),
            (f32([[[[5, 56, 60]]]]), f32([[21, 32]]), f32([11]))),
    generated("grad-conv2d-window", "CONV2D-4", "Stride, padding and dilation, a weight in csr.",
              call("conv2d.gradient", some((1, 2, 2, 2), 52), some((1, 1, 4, 4), 53), stored("csr", (2, 4), 54), some((2,), 55),
                   kernel=2, stride=2, padding=1, dilation=2)),
    *(generated(f"grad-linear-{layout.replace(':', '-')}", "LINEAR-3 GRAD-1 GRAD-2", "A weight with both tails.",
                call("linear.gradient", some((3, 5), 56, dtype), some((3, 7), 57, dtype), stored(layout, (5, 7), 58, dtype),
                     None))
      for layout, dtype in (("nmg:2:4:1", "float32"), ("vnm:2:2:4", "float64"), ("nm:2:4", "bfloat16"),
                            ("bsr:2:3", "float16"))),
    generated("grad-empty", "GRAD-1", "No tokens.",
              call("linear.gradient", array("float32", []).reshape(0, 2), array("float32", []).reshape(0, 3), W, None)),
]
