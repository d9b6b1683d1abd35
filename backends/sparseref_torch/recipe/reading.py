"""A recipe's text into a checked dictionary: what stands in it is what schema.json allows, and nothing else."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparseref.errors import MissingDependency, SpecError

VERSION = 1
SHIPPED = "recipes"


def read(recipe: str | Path) -> tuple[str, str]:
    """A file, or the name of a shipped recipe such as "nmg-75" -> (what to call it in errors, its text).  Errors: RECIPE-1."""
    path = Path(recipe)
    try:
        if not path.exists() and str(recipe) in shipped():
            return str(recipe), _folder().joinpath(f"{recipe}.toml").read_text(encoding="utf-8")
        return str(recipe), path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:                                               # RECIPE-1
        known = shipped()
        near = difflib.get_close_matches(str(recipe), known, 1)
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise SpecError("RECIPE-1", f"the recipe {recipe} cannot be read: {reason}.",
                        wanted=f"a TOML file, or one of {', '.join(known)}", given=recipe,
                        fix=f"did you mean {near[0]}?" if near else "") from problem


def shipped() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml"))


def _folder() -> Any:
    return files(__package__).joinpath(SHIPPED)


def parse(text: str, source: str) -> dict[str, Any]:
    """TOML -> the dictionary, checked.  Errors, each with `source` and the key: RECIPE-1 to RECIPE-4."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:                                             # RECIPE-1
        raise SpecError("RECIPE-1", f"{source} is no TOML: {problem}.", wanted="TOML, version 1.0", given=source,
                        fix="text stands in quotes; a table begins with [name], one of many with [[name]]") from problem
    return check(content, source)


def check(content: dict[str, Any], source: str) -> dict[str, Any]:
    """A dictionary -> the same, if it is a recipe.  Errors: RECIPE-2 to RECIPE-4."""
    version = content.get("version")
    if type(version) is not int or version != VERSION:                                     # RECIPE-2: before what depends on it
        raise SpecError("RECIPE-2", f"{source}, version: this is no version that is known here.", wanted=f"version = {VERSION}",
                        given="nothing" if version is None else f"version = {version!r}",
                        fix="a newer sparseref may read it: pip install --upgrade sparseref" if version else
                        f"write version = {VERSION} in the first line")
    errors = sorted(_validator().iter_errors(content), key=lambda error: ([str(part) for part in error.absolute_path],
                                                                          error.validator != "additionalProperties"))
    if errors:                                                 # a misspelt key before the missing one that it should be
        raise _refused(errors[0], source)
    return content


@cache
def _validator() -> Any:
    try:
        from jsonschema import Draft202012Validator, validators
    except ImportError as missing:
        raise MissingDependency("jsonschema", "reading a recipe", "models") from missing
    whole = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)     # 1.0 is none in TOML
    schema = json.loads(files(__package__).joinpath("schema.json").read_text(encoding="utf-8"))
    return validators.extend(Draft202012Validator, type_checker=whole)(schema)


def _refused(error: Any, source: str) -> SpecError:
    """What jsonschema found -> the error that names file, key, both sides and the fix."""
    key = key_of(error.absolute_path)
    within = f"{source}, {key}" if key else source
    if error.validator == "additionalProperties":                                          # RECIPE-3
        known = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in known)
        near = difflib.get_close_matches(unknown, known, 1)
        return SpecError("RECIPE-3", f"{within}: there is no key {unknown!r}.", wanted=f"one of {', '.join(known)}",
                         given=f"{unknown} = {_shown(error.instance[unknown])}",
                         fix=f"did you mean {near[0]}?" if near else "leave it out")
    if error.validator == "required":                                                      # RECIPE-4
        missing = next(name for name in error.validator_value if name not in error.instance)
        described = error.schema["properties"][missing]
        return SpecError("RECIPE-4", f"{within}: the key {missing!r} is missing.",
                         wanted=f"{missing} = {_described(described)}",
                         given=f"only {', '.join(error.instance) or 'an empty table'}")
    near = difflib.get_close_matches(str(error.instance), error.schema.get("enum", ()), 1)
    return SpecError("RECIPE-4", f"{within}: this value is not one that the key takes.", wanted=_described(error.schema),
                     given=_shown(error.instance), fix=f"did you mean {near[0]}?" if near else "")     # RECIPE-4


def _described(schema: dict[str, Any]) -> str:
    """A part of the schema -> what it wants, in words; a reference is followed."""
    if "$ref" in schema:
        return _described(_validator().schema["$defs"][schema["$ref"].rpartition("/")[2]])
    return str(schema.get("description") or f"a {schema.get('type', 'value')}")


def _shown(value: Any) -> str:
    return f"{json.dumps(value, default=str)[:200]} ({type(value).__name__})"


def key_of(path: Iterator[Any] | Any) -> str:
    """["weight", 0, "format"] -> "weight[1].format": rules are counted from 1, as people count the [[weight]] tables."""
    key = ""
    for part in path:
        key += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return key
