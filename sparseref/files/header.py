"""The header: what the arrays of a file are, as JSON beside the tensors.

    {"version": 1,
     "arrays": {"fc.weight": {"shape": [8, 64], "dtype": "float32", "sha256": "9f86...", "layout": "nmg:2:8:8"},
                "fc.bias": {"shape": [8], "dtype": "float32", "sha256": "60ad..."}},
     "ties": {"head.weight": "fc.weight"},
     "metadata": {"licence": "MIT"}}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpecError
from .container import REPAIR, parse_json
from .entry import Entry, parse_entry
from .names import check_names, is_text

VERSION = 1
HEADER, DIGEST = "sparseref", "sparseref.sha256"
"""The keys of the file's metadata that hold the header and the digest of its text (FILE-2)."""


@dataclass(frozen=True)
class Header:
    """arrays: name -> Entry; ties: further name -> the name under which its array is stored; metadata: the user's strings."""

    arrays: Mapping[str, Entry]
    ties: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names({name: entry.tensors(name).values() for name, entry in self.arrays.items()}, self.ties)
        if not _are_strings(self.metadata) or {HEADER, DIGEST} & set(self.metadata):       # FILE-10
            raise SpecError("FILE-10", "these are no metadata.", wanted=f"strings by name, none named {HEADER} or {DIGEST}",
                            given=str(self.metadata)[:200], fix="json.dumps(...) makes a string of anything else")

    def to_metadata(self) -> dict[str, str]:
        """The strings beside the tensors: the user's own, the header, and the digest of its text (FILE-2, FILE-10)."""
        content = {"version": VERSION, "arrays": {name: entry.to_json() for name, entry in self.arrays.items()},
                   "ties": dict(self.ties), "metadata": dict(self.metadata)}
        text = json.dumps(content, separators=(",", ":"))
        return {**self.metadata, HEADER: text, DIGEST: _digest(text)}


def parse_header(metadata: Mapping[str, str]) -> Header:
    """The metadata of a file -> its header, every part checked.

    Errors: FILE-2, FILE-3, FILE-6, FILE-9, FILE-10, and those of `parse_entry`.
    """
    if HEADER not in metadata:                                                             # FILE-2
        raise SpecError("FILE-2", "this file has no header of sparseref.", wanted=f"metadata {HEADER!r} and {DIGEST!r}",
                        given=f"metadata {', '.join(sorted(metadata)) or 'none'}",
                        fix="safetensors.numpy.load_file reads ordinary safetensors files")
    text = metadata[HEADER]
    try:
        content = parse_json(text)
        digest = _digest(text)
    except ValueError as problem:
        raise _broken(str(problem), text) from problem
    version = content.get("version") if isinstance(content, dict) else None
    if type(version) is int and version != VERSION:                                        # FILE-3: what else it may be
        raise SpecError("FILE-3", "the header has a version that this reader does not know.", wanted=f"version {VERSION}",
                        given=f"version {version}", fix="a newer sparseref may: pip install --upgrade sparseref")
    if metadata.get(DIGEST) != digest:
        raise _broken(f"the SHA-256 of its text is {digest}", f"{DIGEST} {metadata.get(DIGEST)}")
    if type(version) is not int or set(content) != {"version", "arrays", "ties", "metadata"} or not all(
            isinstance(content[part], dict) for part in ("arrays", "ties", "metadata")):
        raise _broken("it has other parts", text)
    arrays = {name: parse_entry(name, entry) for name, entry in content["arrays"].items()}
    beside = {key: value for key, value in metadata.items() if key not in (HEADER, DIGEST)}
    if beside != content["metadata"]:                                                      # FILE-10
        raise SpecError("FILE-10", "the metadata beside the header are not those in it.",
                        wanted=str(content["metadata"])[:200], given=str(beside)[:200], fix=REPAIR)
    return Header(arrays, content["ties"], content["metadata"])


def _broken(what: str, given: str) -> SpecError:
    return SpecError("FILE-2", f"this is no header: {what}.", wanted="a JSON object of version, arrays, ties and metadata, and "
                     "the SHA-256 of its text beside it", given=given[:200] or "no text", fix=REPAIR)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _are_strings(metadata: Any) -> bool:
    return isinstance(metadata, Mapping) and all(is_text(text) for pair in metadata.items() for text in pair)
