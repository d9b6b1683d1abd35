"""Recipes: what stands in the file is what is meant, and what does not belong there is refused by file and key."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes import HEAD, RULE, Small, recipe
from sparseref_torch.recipe import Recipe, Rule
from sparseref_torch.recipe.reading import SHIPPED, shipped
from sparseref_torch.recipe.regimes import DYNAMIC
from sparseref_torch.recipe.regimes import plan as plan_of
from torch import nn

from sparseref import KeepAll, ScalarFraction, SpecError


def test_a_recipe_says_what_its_file_says():
    """Every key of a rule, in its short and in its long form."""
    made = recipe(HEAD + """
        seed = 7
        [[weight]]
        name = "up.*"
        format = "nmg:2:8:8"
        initial = "random-fraction:0.5"
        [[weight]]
        name = ["down.*", "conv.*"]
        module = ["Linear", "Conv2d"]
        min_size = 10
        max_size = 1000
        optional = true
        format = {inline = "keep-all", temporary = "dense", external = "scalar-fraction:0.9", final = "csr"}
        [[interm]]
        name = "up"
        format = "csr:0.5"
    """)
    first = Rule("nmg:2:8:8", ("up.*",), initial="random-fraction:0.5")
    parts = {"inline": "keep-all", "temporary": "dense", "external": "scalar-fraction:0.9", "final": "csr"}
    second = Rule(parts, ("down.*", "conv.*"), ("Linear", "Conv2d"), 10, 1000, True)

    assert made == Recipe((first, second), interm=(Rule("csr:0.5", ("up",)),), seed=7)
    assert (second.output_format.inline, second.output_format.external) == (KeepAll(), ScalarFraction(0.9))


def test_a_file_with_a_schedule():
    """The schedule's own keys, and what the pruner is told."""
    made = recipe(RULE + '[schedule]\nkind = "cubic"\nbegin = 0\nend = 100\nevery = 10\nallocation = "erk"\n'
                  '[scores]\nkind = "movement"')
    expected = ("cubic:0:100,every=10", "movement", "erk", None)
    plan = plan_of(made)
    actual = (str(plan["schedule"]), plan["scores"], plan["allocation"], plan["latent"])

    assert expected == actual


def test_the_schema_knows_every_schedule_score_and_parameter():
    """schema.json and sparseref_torch.training say the same."""
    from dataclasses import fields
    from inspect import signature

    from sparseref_torch.recipe import reading
    from sparseref_torch.training.schedules import SCHEDULES
    from sparseref_torch.training.scores import SCORES

    parts = reading._validator().schema["$defs"]
    expected = {name: {field.name for field in fields(kind)} - {"count"} for name, kind in SCHEDULES.items()}
    actual = {name: set(parts[name]["properties"]) - {"kind", "allocation", "latent"}
              for name in parts["schedule"]["properties"]["kind"]["enum"] if name not in DYNAMIC}

    assert expected == actual
    for name, kind in DYNAMIC.items():
        parameters = set(signature(kind).parameters) - {"model", "which", "formats", "seed"}
        assert parameters == set(parts[name]["properties"]) - {"kind"}
    assert list(SCORES) == parts["scores"]["properties"]["kind"]["enum"]


# -- what is refused --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("text", "clause", "expected"), [
    ("version", "RECIPE-1", "my.toml is no TOML"),
    ("", "RECIPE-2", "given: nothing"),
    ("version = 2", "RECIPE-2", "given: version = 2"),
    ("version = true", "RECIPE-2", "version = True"),
    (HEAD, "RECIPE-4", "the key 'weight' is missing"),
    (HEAD + "weight = []", "RECIPE-4", "my.toml, weight"),
    (RULE + "formt = 1", "RECIPE-3", "did you mean format?"),
    (RULE + "[weights]", "RECIPE-3", "did you mean weight?"),
    (HEAD + 'seed = -1\n[[weight]]\nformat = "csr:0.5"', "RECIPE-4", "my.toml, seed"),
    (HEAD + 'seed = 1.0\n[[weight]]\nformat = "csr:0.5"', "RECIPE-4", "given: 1.0 (float)"),
    (HEAD + '[[weight]]\nformt = "csr:0.5"', "RECIPE-3", "did you mean format?"),
    (HEAD + '[[weight]]\nname = "*"', "RECIPE-4", "the key 'format' is missing"),
    (RULE + "min_size = true", "RECIPE-4", "weight[1].min_size"),
    (RULE + "[[weight]]\nformat = 3", "RECIPE-4", "weight[2].format"),
    (HEAD + '[[weight]]\nname = []\nformat = "csr:0.5"', "RECIPE-4", "weight[1].name"),
    (HEAD + '[[weight]]\nformat = "nmg:9:8:8"', "RECIPE-5", "weight[1].format: NMG-C1"),
    (HEAD + '[[weight]]\nformat = "nmgg:2:8:8"', "RECIPE-5", "REG-2"),
    (HEAD + '[[weight]]\nformat = {inline = "scalar-fraction:0.9", temporary = "dense", external = "keep-all", final = "csr"}',
     "RECIPE-5", "FMT-2"),
    (RULE + 'initial = "randm"', "RECIPE-5", "weight[1].initial: REG-2"),
    (RULE + 'ladder = ["nmg:9:8:8"]', "RECIPE-5", "weight[1].ladder: NMG-C1"),
    (RULE + '[[interm]]\nformat = "csr:0.5"', "RECIPE-4", "a table that has a name, a module or a node"),
    (RULE + '[schedule]\nbegin = 0', "RECIPE-4", "the key 'kind' is missing"),
    (RULE + '[schedule]\nkind = "cubicc"', "RECIPE-4", "did you mean cubic?"),
    (RULE + '[schedule]\nkind = "cubic"\nbegin = 0', "RECIPE-4", "the key 'end' is missing"),
    (RULE + '[schedule]\nkind = "cubic"\nbegn = 0\nend = 4', "RECIPE-3", "did you mean begin?"),
    (RULE + '[schedule]\nkind = "cubic"\nbegin = 5\nend = 4', "RECIPE-5", "TRAIN-1"),
    (RULE + '[schedule]\nkind = "one-shot"\nlatent = "st"', "RECIPE-5", "TRAIN-7"),
    (RULE + '[schedule]\nkind = "rigl"', "RECIPE-4", "the key 'stop' is missing"),
    (RULE + '[schedule]\nkind = "set"\nfraction = 1.5', "RECIPE-4", "0 to 1"),
    (RULE + '[schedule]\nkind = "set"\n[scores]\nkind = "fisher"', "RECIPE-5", "no [scores]"),
    (RULE + '[scores]\nkind = "magnitud"', "RECIPE-4", "did you mean magnitude?"),
])
def test_what_does_not_belong_is_refused_by_file_and_key(text, clause, expected):
    """Where, what is wanted, what was given, and the name that was meant."""
    with pytest.raises(SpecError) as refused:
        recipe(text)

    assert refused.value.clause == clause
    assert expected in str(refused.value)
    assert "my.toml" in str(refused.value)


def test_a_file_that_is_not_there_names_what_comes_close():                                # RECIPE-1
    with pytest.raises(SpecError, match=r"RECIPE-1(?s:.*)did you mean nmg-75\?"):
        Recipe.load("nmg75")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"version = \xff"])
def test_a_file_that_is_no_text_is_refused(tmp_path, content):                             # RECIPE-1
    (tmp_path / "bad.toml").write_bytes(content)

    with pytest.raises(SpecError, match="RECIPE-1"):
        Recipe.load(tmp_path / "bad.toml")


def test_a_folder_is_no_recipe(tmp_path):                                                  # RECIPE-1
    with pytest.raises(SpecError, match="RECIPE-1"):
        Recipe.load(tmp_path)


@pytest.mark.parametrize(("kind", "key"), [("weight", 'name = "*"'), ("interm", 'name = "up"')])
def test_a_weight_may_choose_anew_after_each_step_and_nothing_else_can(kind, key):
    """external = "same-format": as many entries as there are; an intermediate has none before."""
    parts = 'format = {inline = "keep-all", temporary = "dense", external = "same-format", final = "csr"}'
    rule = f"[[{kind}]]\n{key}\n{parts}\n"
    if kind == "weight":
        assert recipe(HEAD + rule).weight[0].keywords["external_sparsifier"] == "same-format"
    else:
        with pytest.raises(SpecError, match=r"RECIPE-5: my\.toml, interm\[1\]\.format: CORE-L1"):
            recipe(RULE + rule)


# -- which weights ----------------------------------------------------------------------------------------------------

def weights(text):
    return {name: rule.format for name, rule in recipe(HEAD + text).weights(Small()).items()}


def test_the_last_rule_that_fits_decides():
    """And a rule whose format is dense leaves its weights alone."""
    expected = {"up.weight": "csr:0.5", "conv.weight": "nmg:2:4:4"}
    actual = weights("""
        [[weight]]
        name = "*.weight"
        format = "nmg:2:4:4"
        [[weight]]
        module = "Linear"
        format = "csr:0.5"
        [[weight]]
        name = ["down.*", "embed.*"]
        format = "dense"
    """)

    assert expected == actual


def test_one_of_the_classes_must_fit_and_each_of_the_names():
    """A list of classes names alternatives; a list of names leaves none out."""
    expected = {"up.weight": "csr:0.5", "down.weight": "csr:0.5", "conv.weight": "csr:0.5"}
    actual = weights('[[weight]]\nname = ["up.*", "down.*", "c*.weight"]\nmodule = ["Linear", "Conv2d", "Conv1D"]\n'
                     'format = "csr:0.5"')

    assert expected == actual


@pytest.mark.parametrize(("text", "expected"), [
    ('name = ["up.*", "upp.*"]', "up.weight"),
    ('module = "Linnear"', "Linear"),
    ('module = ["Conv1d", "Conv3d"]', "Conv1d or Conv3d"),
    ('min_size = 100000', "at least 100,000"),
    ('name = "norm.*"', "norm"),
])
def test_a_rule_that_fits_nothing_is_refused(text, expected):                              # RECIPE-6
    with pytest.raises(SpecError, match="RECIPE-6") as refused:
        weights(f'[[weight]]\n{text}\nformat = "csr:0.5"')

    assert expected in str(refused.value)
    assert "my.toml, weight[1]" in str(refused.value)


def test_a_rule_that_may_fit_nothing():
    expected = {"up.weight": "csr:0.5"}
    actual = weights('[[weight]]\nname = "up.*"\nformat = "csr:0.5"\n[[weight]]\nname = "lm_head.*"\noptional = true\n'
                     'format = "dense"')

    assert expected == actual


def test_a_rule_of_which_nothing_is_left_is_refused():                                     # RECIPE-6
    with pytest.raises(SpecError, match=r"RECIPE-6: my\.toml, weight\[1\]: rules below this one"):
        weights('[[weight]]\nname = "up.*"\nformat = "nmg:2:4:4"\n[[weight]]\nmodule = "Linear"\nformat = "csr:0.5"')


# -- what is written --------------------------------------------------------------------------------------------------

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
rules = st.fixed_dictionaries(
    {"format": st.sampled_from(["csr:0.5", "nmg:2:8:8", {"inline": "keep-all", "temporary": "dense", "external": "keep-all",
                                                        "final": "csr"}])},
    optional={"name": names | st.lists(names, min_size=2, max_size=3), "module": names, "min_size": st.integers(1, 9),
              "max_size": st.integers(10, 99), "optional": st.just(True)})
recipes = st.fixed_dictionaries(
    {"version": st.just(1), "weight": st.lists(rules, min_size=1, max_size=3)},
    optional={"about": names, "seed": st.integers(1, 2**40), "weight_grad": st.lists(rules, min_size=1, max_size=2),
              "scores": st.just({"kind": "fisher"}),
              "schedule": st.just({"kind": "iterative", "rounds": 3, "every": 10, "rewind": 0})})


@given(recipes)
def test_what_is_written_reads_back_as_it_was(tmp_path_factory, content):
    """The file, the dictionary and the digest; whatever text the names hold."""
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    made = Recipe.from_dict(content)
    made.dump(path)
    actual = Recipe.load(path)

    assert made == actual
    assert made.to_dict() == {"seed": 0, **content}
    assert made.sha256 == actual.sha256


@given(recipes, names)
def test_no_key_is_taken_that_is_not_known(content, key):                                  # RECIPE-3
    if key not in ("name", "module", "min_size", "max_size", "optional", "format", "ladder", "initial"):
        content["weight"][-1][key] = 1
        with pytest.raises(SpecError, match="RECIPE-3"):
            Recipe.from_dict(content)


def test_the_digest_looks_at_what_is_said_and_not_at_how():
    """Comments, order, line ends and defaults that are written out change nothing; a number does."""
    same = recipe('# a comment\r\nversion = 1\r\n[schedule]\r\nkind = "one-shot"\r\n[[weight]]\r\nformat = "csr:0.5"\r\n'
                  'name = ["*.weight"]\r\n')
    other = recipe(RULE.replace("0.5", "0.25"))

    assert recipe(RULE).sha256 == same.sha256
    assert recipe(RULE).sha256 != other.sha256


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_fits_a_model_and_names_its_schema(name):
    """Linears and convolutions of a model large enough, none of its embeddings; an editor finds the schema."""
    from importlib.resources import files

    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.fc, self.conv = nn.Embedding(100, 64), nn.Linear(64, 64), nn.Conv2d(64, 64, 1)

    expected = ["fc.weight", "conv.weight"]
    made = Recipe.load(name)
    folder = files("sparseref_torch.recipe")
    first = folder.joinpath(SHIPPED, f"{name}.toml").read_text().splitlines()[0]

    assert expected == list(made.weights(Large()))
    assert made.about
    assert first == "#:schema ../schema.json"
    assert json.loads(folder.joinpath("schema.json").read_text())["title"]
