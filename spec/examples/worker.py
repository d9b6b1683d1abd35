#!/usr/bin/env python3
"""A worker in plain Python: decode of csr and dense, validate of csr, linear with a csr weight (spec/protocol.md).

Try it:  sparseref conform --cmd "python3 spec/examples/worker.py"
"""
import json
import math
import struct
import sys

FLOATS = ["float32", "float64"]
HELLO = {"name": "example-python", "version": "1", "accumulators": dict.fromkeys(FLOATS, "float64"), "cells": [
    {"operation": "decode", "layouts": ["dense"], "dtypes": ["*"]},
    {"operation": "decode", "layouts": ["csr"], "dtypes": FLOATS},
    {"operation": "validate", "layouts": ["csr"], "dtypes": FLOATS},
    {"operation": "linear", "layouts": ["array", "csr"], "dtypes": FLOATS}]}


class Refusal(Exception):
    """Raised with (clause, message): bad input, refused by the clause."""


def need(good, clause, message):
    if not good:
        raise Refusal(clause, message)


def narrow(value, dtype):
    """The number of the dtype that is nearest to a Python float."""
    try:
        return value if dtype == "float64" else struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def numbers(array):
    return [float.fromhex(text) for text in array["data"]]


def rows(w):
    """csr [R, C] -> for each row {column: value}; duplicates add up in slot order (CORE-V2)."""
    indptr, columns, values = w["arrays"]["indptr"]["data"], w["arrays"]["indices"]["data"], numbers(w["arrays"]["values"])
    found = [{} for _ in indptr[1:]]
    for r, row in enumerate(found):
        for slot in range(indptr[r], indptr[r + 1]):
            column, value = columns[slot], values[slot]
            row[column] = narrow(row[column] + value, w["dtype"]) if column in row else value
    return found


def decode(a):
    if a["layout"] == "dense":
        return a["arrays"]["values"]
    data = [row.get(column, 0.0).hex() for row in rows(a) for column in range(a["shape"][1])]
    return {"dtype": a["dtype"], "shape": a["shape"], "data": data}


def validate(a):
    arrays, shape = a["arrays"], a["shape"]
    need(len(shape) == 2, "CSR-C1", f"csr describes matrices, not shape {shape}")
    need(set(arrays) == {"indptr", "indices", "values"}, "CORE-A1", f"the fields are {sorted(arrays)}")
    coordinate = "int32" if math.prod(shape) < 2**31 else "int64"
    count = len(arrays["indices"]["data"])
    wanted = {"indptr": (coordinate, shape[0] + 1), "indices": (coordinate, count), "values": (a["dtype"], count)}
    for name, (dtype, size) in wanted.items():
        have = arrays[name]
        need((have["dtype"], have["shape"]) == (dtype, [size]), "CORE-A2", f"{name} is {have['dtype']} {have['shape']}")
    indptr = arrays["indptr"]["data"]
    need(indptr[0] == 0 and indptr[-1] == count and indptr == sorted(indptr), "CSR-C2", "indptr does not mark off the slots")
    need(all(0 <= column < shape[1] for column in arrays["indices"]["data"]), "CSR-C3", "an index lies outside the array")


def linear(x, w, bias=None):
    """x [..., K], w csr [O, K], bias [O] or None -> [..., O]; only stored entries of w are read (CORE-P2)."""
    need(x["dtype"] == w["dtype"] and (bias is None or bias["dtype"] == w["dtype"]), "CORE-D2", "the dtypes differ")
    need(bias is None or "layout" not in bias, "OPS-5", "the bias is a plain array")
    outputs, width = w["shape"]
    fits = x["shape"] and x["shape"][-1] == width and (bias is None or bias["shape"] == [outputs])
    need(fits, "LINEAR-2", f"x {x['shape']} does not fit w {w['shape']}, or the bias does not")
    weights, flat = rows(w), numbers(x)
    shift = numbers(bias) if bias else [0.0] * outputs
    data = []
    for token in range(math.prod(x["shape"][:-1])):
        for output, row in enumerate(weights):
            total = shift[output]
            for column, value in row.items():
                total += flat[token * width + column] * value
            data.append(narrow(total, w["dtype"]).hex())
    return {"dtype": w["dtype"], "shape": [*x["shape"][:-1], outputs], "data": data}


def answer(request):
    if "hello" in request:
        return HELLO
    call = request["call"]
    try:
        return {"result": {"decode": decode, "validate": validate, "linear": linear}[call["operation"]](*call["operands"])}
    except Refusal as refusal:
        return {"error": {"clause": refusal.args[0], "message": refusal.args[1]}}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], **answer(request)}), flush=True)
