"""The vectors as they are written down here, file by file, beside the frozen ones."""

from importlib import import_module
from itertools import zip_longest
from pathlib import Path

from sparseref.conformance.vectors import SUMS, hash_of, text_of

GROUPS = ("core", "errors", "dense", "masked", "coo", "csr", "csc", "bsr", "ell", "nm", "nmg", "vnm", "sparsifiers",
          "operators", "gradients", "bounds", "formats", "dispatch", "wire", "safetensors", "flushing")


def texts():
    """File name -> what it should hold."""
    return {f"{group}.json": text_of(group, import_module(f".{group}", __package__).VECTORS) for group in GROUPS}


def differences(place: Path):
    """A sentence for each file that is not, byte for byte, what is written down here."""
    wanted = texts()
    present = {path.name: path.read_text(encoding="utf-8") for path in place.glob("*.json")}
    return [f"{name}: {_difference(wanted.get(name), present.get(name))}" for name in sorted({*wanted, *present})
            if wanted.get(name) != present.get(name)]


def _difference(wanted, present):
    if wanted is None or present is None:
        return "frozen, but not written down" if wanted is None else "written down, but not frozen"
    for number, (line, other) in enumerate(zip_longest(wanted.splitlines(), present.splitlines()), 1):
        if line != other:
            return f"line {number} should be\n  {line}\nand is\n  {other}"
    return "the line ends differ"


def freeze_new(place: Path):
    """Write the files that do not exist yet and their hashes; what exists stays as it is."""
    sums = place / SUMS
    lines = dict(reversed(line.split("  ")) for line in sums.read_text(encoding="utf-8").splitlines()) if sums.exists() else {}
    new = {name: text for name, text in texts().items() if not (place / name).exists()}
    for name, text in new.items():
        (place / name).write_text(text, encoding="utf-8")
        lines[name] = hash_of(place / name)
    sums.write_text("".join(f"{lines[name]}  {name}\n" for name in sorted(lines)), encoding="utf-8")
    return sorted(new)
