"""Vectors of the files.  A file is written out here byte by byte; only SHA-256 is left to hashlib."""

import hashlib
import json

from .making import NAN, array, by_hand, call, f32, i32, refused, sparse

LIST = sparse("coo", (3,), coords=i32([[2]]), values=f32([1.5]))                 # . . 1.5
TWO = "02000000"                                                                 # int32 2, little-endian
ONE_AND_A_HALF = "0000c03f"                                                      # 0x3fc00000: exponent 0, 1.1 in binary
LINES = {"w.coords": ("I32", [1, 1], TWO), "w.values": ("F32", [1], ONE_AND_A_HALF)}


def sha256(tensors):
    """{name: (dtype, shape, hexadecimal elements)} -> the digest of FILE-5."""
    text = b""
    for name, (dtype, shape, elements) in sorted(tensors.items()):
        text += f"{dtype} {','.join(map(str, shape))} {name}\n".encode() + bytes.fromhex(elements)
    return hashlib.sha256(text).hexdigest()


W = {"layout": "coo", "shape": [3], "dtype": "float32", "sha256": sha256(LINES)}


def header_of(arrays, ties=None, metadata=None, version=1, **more):
    return json.dumps({"version": version, "arrays": arrays, "ties": ties or {}, "metadata": metadata or {}, **more})


def bytes_of(header, tensors, beside=None, digest=None, more=""):
    """A header's text and tensors -> the file in hexadecimal; `digest` and `more` for files that are none."""
    metadata = {**(beside or {}), "sparseref": header,
                "sparseref.sha256": digest or hashlib.sha256(header.encode()).hexdigest()}
    index, data = {"__metadata__": metadata}, ""
    for name, (dtype, shape, elements) in tensors.items():
        index[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data) // 2, (len(data) + len(elements)) // 2]}
        data += elements
    text = json.dumps(index).encode()
    return (len(text).to_bytes(8, "little") + text).hex() + data + more


def plain(dtype, code, shape, elements):
    """One plain array v -> the file."""
    tensors = {"v": (code, shape, elements)}
    return bytes_of(header_of({"v": {"shape": shape, "dtype": dtype, "sha256": sha256(tensors)}}), tensors)


def changed(**parts):
    """The file of LIST with another entry for it."""
    return bytes_of(header_of({"w": {**W, **parts}}), LINES)


WHOLE = bytes_of(header_of({"w": W}), LINES)
NO_SHAPE = {part: value for part, value in W.items() if part != "shape"}
SPARE = sparse("ell", (1, 2), indices=i32([[1, -1]]), values=f32([[2, NAN]]))
OUTSIDE = {"w.coords": ("I32", [1, 1], "03000000"), "w.values": ("F32", [1], ONE_AND_A_HALF)}
BROKEN = bytes_of(header_of({"w": {**W, "sha256": sha256(OUTSIDE)}}), OUTSIDE)

VECTORS = [
    by_hand("file-whole", "FILE-1 FILE-2 FILE-4 FILE-5", "w.coords is 2, w.values is 0x3fc00000 = 1.5.",
            call("load_file", WHOLE), (("w", LIST),)),
    by_hand("file-header", "FILE-4 FILE-10", "What the entry says, no view, no tie, and the user's string.",
            call("file_header", bytes_of(header_of({"w": W}, metadata={"by": "hand"}), LINES, {"by": "hand"})),
            ((("w", "coo", (3,), "float32", None),), (), (("by", "hand"),))),
    refused("file-cut-off", "FILE-1", "The last byte is missing.", call("load_file", WHOLE[:-2])),
    refused("file-too-long", "FILE-1", "A byte that belongs to no tensor.", call("load_file", WHOLE + "00")),
    refused("file-index-longer", "FILE-1", "An index of 2**56 bytes.", call("load_file", "0000000000000001" + WHOLE[16:])),
    refused("file-no-json", "FILE-1", "The index is no JSON.", call("load_file", "0200000000000000" + b"{]".hex())),
    refused("file-empty", "FILE-1", "Not even 8 bytes.", call("load_file", "")),
    refused("file-tensor-missing", "FILE-1", "No w.coords.",
            call("load_file", bytes_of(header_of({"w": W}), {"w.values": LINES["w.values"]}))),
    refused("file-tensor-too-many", "FILE-1", "Nobody has w.mask.",
            call("load_file", bytes_of(header_of({"w": W}), {**LINES, "w.mask": ("U8", [1], "01")}))),
    refused("file-no-header", "FILE-2", "An ordinary safetensors file.",
            call("load_file", "0200000000000000" + b"{}".hex())),
    refused("file-header-no-json", "FILE-2", "A brace is missing.", call("load_file", bytes_of('{"version": 1', {}))),
    refused("file-header-more", "FILE-2", "A part that no header has.",
            call("load_file", bytes_of(header_of({"w": W}, scale=2), LINES))),
    refused("file-header-changed", "FILE-2", "The digest is that of the text with csr for coo.",
            call("load_file", bytes_of(header_of({"w": W}), LINES,
                                       digest=hashlib.sha256(header_of({"w": W}).replace("coo", "csr").encode()).hexdigest()))),
    by_hand("file-version", "FILE-3", "Version 1 with nothing in it.", call("load_file", bytes_of(header_of({}), {})), ()),
    refused("file-version-later", "FILE-3", "Version 2, and parts that we cannot know.",
            call("load_file", bytes_of('{"version": 2, "tensors": []}', LINES))),
    refused("file-entry-no-shape", "FILE-4", "No shape.",
            call("load_file", bytes_of(header_of({"w": NO_SHAPE}), LINES))),
    refused("file-entry-more", "FILE-4", "A part that changes what values mean.", call("load_file", changed(scale=2))),
    refused("file-entry-dtype", "FILE-4", "No such dtype.", call("load_file", changed(dtype="float8"))),
    refused("file-entry-not-the-tensor", "FILE-4", "The entry says float32 [1], the tensor is int32 [1].",
            call("load_file", plain("float32", "I32", [1], TWO))),
    refused("file-element-changed", "FILE-5", "3 instead of 2.",
            call("load_file", bytes_of(header_of({"w": W}), {**LINES, "w.coords": ("I32", [1, 1], "03000000")}))),
    refused("file-shape-changed", "FILE-5", "The bytes are the same, coords is [1] instead of [1, 1].",
            call("load_file", bytes_of(header_of({"w": W}), {**LINES, "w.coords": ("I32", [1], TWO)}))),
    by_hand("file-names", "FILE-6", "w has w.coords and w.values; w.v and w.values.x are others.",
            call("save_and_load", ("w", "w.v", "w.values.x"), LIST, f32([1]), f32([2])),
            (("w", LIST), ("w.v", f32([1])), ("w.values.x", f32([2])))),
    refused("file-names-collide", "FILE-6", "The plain array would be the values of w.",
            call("save_and_load", ("w", "w.values"), LIST, f32([1]))),
    refused("file-name-of-the-metadata", "FILE-6", "The container's own.", call("save_and_load", ("__metadata__",), f32([1]))),
    by_hand("file-row-major", "FILE-7", "1 2 / 3 4 in int16: 0100 0200 0300 0400.",
            call("load_file", plain("int16", "I16", [2, 2], "0100020003000400")), (("v", array("int16", [[1, 2], [3, 4]])),)),
    by_hand("file-bfloat16", "FILE-7", "0x3fc0 is 1.5, the upper half of float32's.",
            call("load_file", plain("bfloat16", "BF16", [], "c03f")), (("v", array("bfloat16", 1.5)),)),
    by_hand("file-empty-array", "FILE-7", "0 x 5 elements are 0 bytes.",
            call("load_file", plain("float64", "F64", [0, 5], "")), (("v", array("float64", []).reshape(0, 5)),)),
    refused("file-no-truth-value", "FILE-7", "Byte 2 in a bool array.", call("load_file", plain("bool", "BOOL", [2], "0102"))),
    by_hand("file-view", "FILE-8", "Its shape, and whether it is transposed.",
            call("file_header", changed(view={"shape": [1, 3], "transposed": False})),
            ((("w", "coo", (3,), "float32", ((1, 3), False)),), (), ())),
    refused("file-view-other-size", "FILE-8", "3 entries for a shape of 4.",
            call("load_file", changed(view={"shape": [2, 2], "transposed": False}))),
    refused("file-view-no-matrix", "FILE-8", "A list has no transpose.",
            call("load_file", changed(view={"shape": [3], "transposed": True}))),
    by_hand("file-ties", "FILE-9", "Two names, one array.",
            call("distinct_arrays", bytes_of(header_of({"w": W}, {"head": "w"}), LINES)), (2, 1)),
    refused("file-tie-to-nothing", "FILE-9", "There is no array of that name.",
            call("load_file", bytes_of(header_of({"w": W}, {"head": "v"}), LINES))),
    refused("file-tie-of-an-array", "FILE-9", "w has an array already.",
            call("load_file", bytes_of(header_of({"w": W}, {"w": "w"}), LINES))),
    refused("file-metadata-changed", "FILE-10", "hand in the header, foot beside it.",
            call("load_file", bytes_of(header_of({"w": W}, metadata={"by": "hand"}), LINES, {"by": "foot"}))),
    by_hand("file-round-trip", "FILE-11", "A spare slot with NaN in it, which no encoder would make: as they were.",
            call("save_and_load", ("a", "b"), SPARE, array("bool", [[True, False]])),
            (("a", SPARE), ("b", array("bool", [[True, False]])))),
    by_hand("file-of-an-invalid-array", "FILE-12 COO-C2", "Coordinate 3 of 3: the digest is right, the array is none.",
            call("refusal_of_file", BROKEN), "COO-C2"),
    refused("file-saves-no-invalid-array", "COO-C2", "The same on the way out.",
            call("save_and_load", ("w",), sparse("coo", (3,), coords=i32([[3]]), values=f32([1.5])))),
    by_hand("file-interrupted", "FILE-13", "The write fails half-way: the old file is there, and nothing beside it.",
            call("interrupted_save", LIST), (True, 1)),
]
