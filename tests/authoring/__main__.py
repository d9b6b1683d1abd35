"""`python -m tests.authoring` compares the vectors as written down here with the frozen files, byte for byte."""

import argparse
import sys

from sparseref.conformance.vectors import vectors_folder

from .files import differences, freeze_new

parser = argparse.ArgumentParser(prog="python -m tests.authoring", description=__doc__)
parser.add_argument("--new", action="store_true", help="write the files that do not exist yet; no file is ever overwritten")
if parser.parse_args().new:
    print("frozen:", ", ".join(freeze_new(vectors_folder())) or "nothing new")
found = differences(vectors_folder())
print(*found, sep="\n", end="\n" if found else "")
sys.exit(bool(found))
