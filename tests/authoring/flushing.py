"""Vectors of the error bounds where subnormal numbers are flushed."""

from .making import by_hand, call, f32, f64, generated

VECTORS = [
    by_hand("flush-zero-terms", "BOUND-5",
            "Two terms of 0: 3 * 2**-150 as without flushing, and 2 * 2 * lambda, lambda = 2**-126.",
            call("bound", call("linear", f32([[1, 1]]), f32([[0, 0]]), None), "float32", True),
            (f64([[0]]), f64([[3 * 2.0**-150 + 2.0**-124]]))),
    by_hand("flush-exact-operator", "BOUND-5", "relu rounds nothing and flushes nothing: the bound is 0.",
            call("bound", call("relu", f32([2.0**-140, 2])), "float32", True), (f64([2.0**-140, 2]), f64([0, 0]))),
    by_hand("flush-gelu-zero", "BOUND-5", "x = y = 0: 2**-149 as without flushing, and 4 * 2**-126.",
            call("bound", call("gelu", f32([0])), "float32", True), (f64([0]), f64([2.0**-149 + 2.0**-124]))),
    generated("flush-vanishing-term", "BOUND-5", "2**-130 is read as 0, so its term of 2**-30 may be lost; the other stays.",
              call("bound", call("linear", f32([[2.0**-130, 1]]), f32([[2.0**100, 1]]), None), "float32", True)),
    generated("flush-gradient", "BOUND-5", "Of both factors: each is the magnitude of the other's terms.",
              call("bound", call("multiply.gradient", f32([2.0**-130]), f32([2.0**100]), f32([3])), "float32", True)),
]
