"""Vectors of the error bounds."""

from .making import INF, NAN, array, by_hand, call, f16, f32, f64, generated, i32, some, sparse, stored

NOTHING = sparse("csr", (1, 2), indptr=i32([0, 0]), indices=i32([]), values=f32([]))

VECTORS = [
    generated("bound-dot", "BOUND-1", "Rows of 1 and of 2 terms: each has its own k.",
              call("bound",
                   call("linear", some((1, 3), 60),
                        sparse("csr", (2, 3), indptr=i32([0, 1, 3]), indices=i32([1, 0, 2]), values=f32([7, 5, 6])), None),
                   "float32")),
    generated("bound-float16-accumulator", "BOUND-1", "A coarser accumulator has a wider bound.",
              call("bound", call("linear", some((1, 7), 61, "float16"), stored("nm:2:4", (2, 7), 62, "float16"), None),
                   "float16")),
    generated("bound-gradient", "BOUND-1", "Of x, w and a missing bias.",
              call("bound", call("linear.gradient", some((1, 2), 63), some((1, 3), 64), stored("csr", (2, 3), 65), None),
                   "float32")),
    by_hand("bound-no-terms", "BOUND-1 BOUND-2",
            "k = 0 and M = 0: what is left is eta_out, half of float32's smallest subnormal 2**-149.",
            call("bound", call("linear", f32([[1, 1]]), NOTHING, None), "float32"), (f64([[0]]), f64([[2.0**-150]]))),
    by_hand("bound-zero-terms", "BOUND-2", "Two terms of 0: M = C = 0, and 2 * eta_acc + eta_out = 3 * 2**-150.",
            call("bound", call("linear", f32([[1, 1]]), f32([[0, 0]]), None), "float32"), (f64([[0]]), f64([[3 * 2.0**-150]]))),
    by_hand("bound-exact-operator", "OPS-1", "relu rounds nothing: the bound is 0.",
            call("bound", call("relu", f32([-1, 2])), "float32"), (f64([0, 2]), f64([0, 0]))),
    by_hand("bound-integers", "OPS-1", "Integers wrap and are exact: 0.",
            call("bound", call("add", i32([1]), i32([2])), "float32"), (array("int64", [3]), f64([0]))),
    by_hand("bound-gelu-zero", "BOUND-3", "x = y = 0: the smallest subnormal 2**-149 is left.",
            call("bound", call("gelu", f32([0])), "float32"), (f64([0]), f64([2.0**-149]))),
    generated("bound-gelu", "BOUND-3", "32 u |x| + u |y|.", call("bound", call("gelu", f32([1, -2])), "float32")),
    by_hand("ratio", "BOUND-1", "Off by 0.5 with 2 allowed is a quarter; exact is 0; off by 2 with 1 allowed is 2.",
            call("ratio", f32([1.5, 3, 7]), f64([1, 3, 5]), f64([2, 1, 1])), f64([0.25, 0, 2])),
    by_hand("ratio-special", "BOUND-4", "NaN for NaN and inf for inf; inf for -inf, a number for NaN, NaN for a number: never.",
            call("ratio", f32([NAN, INF, INF, 1, NAN]), f64([NAN, INF, -INF, NAN, 1]), f64([1, 1, 1, 1, 1])),
            f64([0, 0, INF, INF, INF])),
    by_hand("ratio-overflow", "BOUND-4",
            "65504 is the largest float16: 65500 + 8 reaches it, so inf may answer; 65000 + 8 does not.",
            call("ratio", f16([INF, INF]), f64([65500, 65000]), f64([8, 8])), f64([0, INF])),
    by_hand("ratio-zero-bound", "OPS-1", "With a bound of 0 every bit counts, the sign of zero too.",
            call("ratio", f32([0.0, -0.0]), f64([0.0, 0.0]), f64([0, 0])), f64([0, INF])),
]
