"""Files for the tests: made, taken apart, and put together again with something changed."""

import json
import math
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.dtypes import value_dtype
from sparseref.files import load_file, save_file
from sparseref.files.container import CODES

NAMES = st.text(min_size=1, max_size=6).filter(lambda name: "." not in name and name != "__metadata__")
STRINGS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)


@st.composite
def plain_arrays(draw):
    """Arrays of every dtype that a file holds, of 0 to 3 axes, sides of 0 among them, NaN payloads and all."""
    name = draw(st.sampled_from(sorted(CODES)))
    dtype = value_dtype(name) if name == "bfloat16" else np.dtype(name)
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    content = np.frombuffer(draw(some.generators()).bytes(math.prod(shape) * dtype.itemsize), np.uint8)
    return (content % 2 if name == "bool" else content).view(dtype).reshape(shape)


sparse_arrays = some.layouts(sr.registry.layouts.names()).flatmap(some.sparse_arrays)      # the names are looked up once
FILES = st.dictionaries(NAMES, st.one_of(sparse_arrays, plain_arrays()), max_size=3)
"""What a file may hold: name -> array."""


_FOLDER = TemporaryDirectory()
"""One for all examples: making a folder takes longer than reading a file."""

PATH = Path(_FOLDER.name) / "file"


def bytes_of(arrays, metadata=None, views=None):
    """What save_file writes."""
    return save_file(arrays, PATH, metadata, views).read_bytes()


def read(content, how=load_file):
    """The bytes of a file -> what it holds."""
    PATH.write_bytes(content)
    return how(PATH)


def bits_of(array):
    """All that makes an array what it is, every bit of its elements included."""
    if isinstance(array, sr.SparseArray):
        return str(array.layout), array.shape, array.dtype, {name: bits_of(field) for name, field in array.arrays.items()}
    return array.shape, array.dtype, array.tobytes()


def content_of(arrays):
    return {name: bits_of(array) for name, array in arrays.items()}


def index_of(content):
    """A file -> its index and its elements."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), content[start:]


def with_index(index, elements):
    """The reverse."""
    text = json.dumps(index).encode()
    return len(text).to_bytes(8, "little") + text + elements


def with_header(content, change):
    """A file whose header a function has changed; the digest of its text is made anew."""
    index, elements = index_of(content)
    header = json.loads(index["__metadata__"]["sparseref"])
    change(header)
    text = json.dumps(header)
    index["__metadata__"] |= {"sparseref": text, "sparseref.sha256": sha256(text.encode()).hexdigest()}
    return with_index(index, elements)
