"""Commands on whole models: `sparseref sparsify` gives the same bytes for the same input, and nothing where it is refused."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest
import torch
from safetensors.torch import load_file as load_plain
from safetensors.torch import save_file as save_plain
from sparseref_torch.recipe import applying, command
from torch import nn
from typer.testing import CliRunner

import sparseref as sr
from sparseref.cli import app
from sparseref.files import load_file, read_header

RECIPE = """
version = 1
seed = 5

[[weight]]
name = "*.weight"
min_size = 64
format = "nmg:2:4:4"

[[weight]]
name = "embed.*"
format = "dense"
"""
CHANCE = RECIPE.replace('"nmg:2:4:4"', '"csr"\ninitial = "random-fraction:0.5"')


class Tied(nn.Module):
    """A head that is the embedding, a convolution and a norm."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(16, 8), nn.Linear(8, 16, bias=False)
        self.head.weight = self.embed.weight
        self.conv, self.norm = nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)


def make_tied():
    return Tied()


def no_model():
    return 3


def run(*arguments, code=0):
    """Arguments of `sparseref sparsify` -> what it prints; its exit code must be `code`, and nothing a traceback."""
    result = CliRunner().invoke(app, ["sparsify", *map(str, arguments)], env={"COLUMNS": "120"})

    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture
def tensors():
    """Weights as a file holds them, with a half precision one, an integer one and one without entries."""
    rng = torch.Generator().manual_seed(0)
    return {"up.weight": torch.randn(16, 8, generator=rng), "up.bias": torch.randn(16, generator=rng),
            "conv.weight": torch.randn(8, 4, 3, 3, generator=rng).bfloat16(), "embed.weight": torch.randn(10, 8, generator=rng),
            "ids": torch.arange(128).reshape(8, 16), "empty": torch.zeros(0, 4)}


@pytest.fixture
def folder(tmp_path, tensors):
    """A model, a recipe, and a recipe that leaves something to chance."""
    save_plain(tensors, tmp_path / "model.safetensors")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "chance.toml").write_text(CHANCE)
    return tmp_path


# -- what is written --------------------------------------------------------------------------------------------------

def test_a_file_of_tensors_is_made_sparse_by_name(folder, tensors):
    """Sparse ones as the reference has them, a convolution as its matrix; the others bit for bit."""
    run(folder / "model.safetensors", folder / "recipe.toml", "-o", folder / "out" / "sparse.safetensors")
    made, header = load_file(folder / "out" / "sparse.safetensors"), read_header(folder / "out" / "sparse.safetensors")

    assert sr.same_array(made["up.weight"], sr.sparsify(tensors["up.weight"].numpy(), "nmg:2:4:4"))
    assert (made["conv.weight"].shape, header.arrays["conv.weight"].view.shape) == ((8, 36), (8, 4, 3, 3))
    assert made["conv.weight"].dtype.name == "bfloat16"
    for name in ("up.bias", "embed.weight", "ids", "empty"):
        assert np.array_equal(made[name], tensors[name].numpy())


def test_the_manifest_names_all_that_the_bits_depend_on(folder):
    """Versions, seeds, digests of model, recipe, file and every tensor, the figures; the JSON adds the seconds."""
    run(folder / "model.safetensors", folder / "recipe.toml", "-o", folder / "sparse.safetensors", "--json", folder / "r.json")
    manifest = json.loads((folder / "sparse.manifest.json").read_text())
    told = json.loads((folder / "r.json").read_text())
    header = read_header(folder / "sparse.safetensors")
    weight = next(one for one in manifest["sparse"] if one["name"] == "up.weight")
    kept = load_file(folder / "sparse.safetensors")["up.weight"]

    assert set(manifest["versions"]) == {"python", "numpy", "torch", "sparseref", "spec"}
    assert manifest["seeds"] == {"recipe": 5}
    assert (manifest["model"]["kind"], manifest["model"]["name"]) == ("tensors", "model.safetensors")
    assert {one["name"]: one["sha256"] for one in manifest["sparse"] + manifest["dense"]} == {
        name: entry.sha256 for name, entry in header.arrays.items()}
    assert (weight["layout"], weight["shape"], weight["sparsity"], weight["bits"]) == ("nmg:2:4:4", [16, 8], 0.5, kept.bits)
    assert weight["energy"] == round(sr.energy(load_plain(folder / "model.safetensors")["up.weight"].numpy(), kept), 6)
    assert told.pop("seconds") >= 0
    assert told == manifest
    assert str(folder) not in json.dumps(manifest)


def test_the_table_shows_every_weight(folder):
    shown = run(folder / "model.safetensors", folder / "recipe.toml", "-o", folder / "sparse.safetensors")

    for expected in ("up", "16x8", "conv", "8x4x3x3", "nmg:2:4:4", "50.0%", "4 tensors of 224 entries stay dense",
                     "sparse.safetensors", "sparse.manifest.json"):
        assert expected in shown


def both(folder):
    return [(folder / name).read_bytes() for name in ("sparse.safetensors", "sparse.manifest.json")]


@pytest.mark.parametrize("recipe", ["recipe.toml", "chance.toml"])
def test_the_same_input_gives_the_same_bytes(folder, recipe):
    """Run twice, also over the first result; what is left to chance follows from the seed."""
    run(folder / "model.safetensors", folder / recipe, "-o", folder / "sparse.safetensors")
    expected = both(folder)
    run(folder / "model.safetensors", folder / recipe, "-o", folder / "sparse.safetensors")
    actual = both(folder)

    assert expected == actual


def test_another_process_another_folder_another_order_the_same_bytes(folder, tensors):
    """Neither hashes of strings, nor paths, nor threads, nor how the input file is arranged."""
    run(folder / "model.safetensors", folder / "chance.toml", "-o", folder / "sparse.safetensors")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    save_plain(tensors, elsewhere / "model.safetensors", {"format": "pt"})
    (elsewhere / "recipe.toml").write_text(CHANCE.replace("\n", "\r\n") + "# a comment\r\n")
    command_line = ["-m", "sparseref", "sparsify", "model.safetensors", "recipe.toml", "-o", "sparse.safetensors"]
    subprocess.run([sys.executable, *command_line], cwd=elsewhere, check=True, capture_output=True,
                   env={"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"})
    expected = both(folder)
    actual = both(elsewhere)

    assert expected == actual


def test_another_seed_gives_another_choice(folder):
    (folder / "other.toml").write_text(CHANCE.replace("seed = 5", "seed = 6"))
    for recipe in ("chance", "other"):
        run(folder / "model.safetensors", folder / f"{recipe}.toml", "-o", folder / f"{recipe}.safetensors")

    assert not sr.same_array(load_file(folder / "chance.safetensors")["up.weight"],
                             load_file(folder / "other.safetensors")["up.weight"])


def test_a_function_gives_the_model_and_tied_weights_stay_tied(tmp_path):
    """Its random weights are those of the recipe's seed, and the caller's generator is left alone."""
    (tmp_path / "recipe.toml").write_text(RECIPE.partition("[[weight]]\nname = \"embed")[0])
    state = torch.random.get_rng_state()
    run(f"{__name__}:make_tied", tmp_path / "recipe.toml", "-o", tmp_path / "sparse.safetensors")
    torch.manual_seed(5)
    expected = Tied()
    made, header = load_file(tmp_path / "sparse.safetensors"), read_header(tmp_path / "sparse.safetensors")

    assert dict(header.ties) == {"head.weight": "embed.weight"}
    assert sr.same_array(made["embed.weight"], sr.sparsify(expected.embed.weight.detach().numpy(), "nmg:2:4:4"))
    assert made["norm.num_batches_tracked"].shape == ()
    torch.random.set_rng_state(state)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A small GPT2 with random weights, as `save_pretrained` writes it."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=40, n_positions=8, n_embd=16, n_layer=1, n_head=2)
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_a_hugging_face_folder(gpt2, tmp_path):
    """The class that its config names; a Conv1D, which keeps its weight transposed, is stored as the matrix it stands for."""
    (tmp_path / "recipe.toml").write_text('version = 1\n[[weight]]\nmodule = "Conv1D"\nformat = "nmg:2:4:4"\n')
    run(gpt2, tmp_path / "recipe.toml", "-o", tmp_path / "sparse.safetensors")
    made, header = load_file(tmp_path / "sparse.safetensors"), read_header(tmp_path / "sparse.safetensors")
    weight = load_plain(gpt2 / "model.safetensors")["transformer.h.0.mlp.c_fc.weight"]     # [K, O]
    view = header.arrays["transformer.h.0.mlp.c_fc.weight"].view

    assert sr.same_array(made["transformer.h.0.mlp.c_fc.weight"], sr.sparsify(weight.numpy().T.copy(), "nmg:2:4:4"))
    assert (view.shape, view.transposed) == ((16, 64), True)
    assert dict(header.ties) == {"lm_head.weight": "transformer.wte.weight"}


def test_weights_that_a_folder_lacks_are_not_made_up(gpt2, tmp_path):                      # RECIPE-7
    """transformers would draw them."""
    tensors = load_plain(gpt2 / "model.safetensors")
    del tensors["transformer.h.0.mlp.c_fc.weight"]
    (tmp_path / "config.json").write_bytes((gpt2 / "config.json").read_bytes())
    save_plain(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    shown = run(tmp_path, "nmg-75", "-o", tmp_path / "sparse.safetensors", code=2)

    assert "RECIPE-7" in shown
    assert "transformer.h.0.mlp.c_fc.weight" in shown


# -- what is refused --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("model", "recipe", "expected"), [
    ("model.safetensor", "recipe.toml", "did you mean"),
    ("recipe.toml", "recipe.toml", "RECIPE-7"),
    ("cut.safetensors", "recipe.toml", "no whole safetensors file"),
    ("empty", "recipe.toml", "config.json and model.safetensors"),
    (f"{__name__}:nothing", "recipe.toml", "REG-3"),
    (f"{__name__}:no_model", "recipe.toml", "given: int"),
    ("model.safetensors", "nmg75", "did you mean nmg-75?"),
    ("model.safetensors", "nmg-75", "a file of tensors has no modules"),
    ("model.safetensors", "gradual.toml", "RECIPE-8"),
])
def test_bad_input_is_named_and_nothing_is_written(folder, model, recipe, expected):
    (folder / "cut.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-8])
    (folder / "empty").mkdir()
    (folder / "gradual.toml").write_text(RECIPE + '[schedule]\nkind = "cubic"\nbegin = 0\nend = 9\n')
    before = sorted(folder.rglob("*"))
    shown = run(model if ":" in model else folder / model, recipe if recipe.startswith("nmg") else folder / recipe,
                "-o", folder / "sparse.safetensors", code=2)

    assert expected in shown
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["model.safetensors", "link.safetensors", "./recipe.toml"])
def test_the_input_is_not_written_over(folder, name):                                      # RECIPE-9
    (folder / "link.safetensors").symlink_to(folder / "model.safetensors")
    expected = (folder / "model.safetensors").read_bytes()
    shown = run(folder / "model.safetensors", folder / "recipe.toml", "-o", folder / name, code=2)

    assert "RECIPE-9" in shown
    assert (folder / "model.safetensors").read_bytes() == expected
    assert (folder / "recipe.toml").read_text() == RECIPE


def test_two_files_do_not_share_a_name(folder):
    shown = run(folder / "model.safetensors", folder / "recipe.toml", "-o", folder / "x", "--json", folder / "x", code=2)

    assert "two files cannot have one name" in shown


@pytest.mark.parametrize(("where", "what"), [(applying, "exchanges"), (command, "save_model"), (command, "make_manifest")])
def test_an_interrupt_leaves_what_was_there(folder, monkeypatch, where, what):
    """While weights are sparsified, while the file is written, while the manifest is: 130, and the old files."""
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    run(folder / "model.safetensors", folder / "chance.toml", "-o", folder / "sparse.safetensors")
    expected, files = both(folder), sorted(folder.rglob("*"))
    monkeypatch.setattr(where, what, interrupt)
    shown = run(folder / "model.safetensors", folder / "recipe.toml", "-o", folder / "sparse.safetensors", code=130)

    assert "interrupted" in shown
    assert (both(folder), sorted(folder.rglob("*"))) == (expected, files)


# -- how commands are found -------------------------------------------------------------------------------------------

def test_every_command_on_models_is_implemented():
    """What pyproject.toml names can be loaded."""
    points = entry_points(group="sparseref.models")

    assert "sparsify" in points.names
    assert all(callable(point.load()) for point in points)


def test_a_command_that_nothing_implements_says_so(folder, monkeypatch):                   # REG-2
    monkeypatch.setattr("sparseref.cli.models.GROUP", "sparseref.nothing")

    assert "REG-2" in run(folder / "model.safetensors", "nmg-75", "-o", folder / "x", code=2)


def test_without_torch_the_command_says_what_brings_it(folder):
    """One line to paste, exit code 2."""
    (folder / "torch.py").write_text("raise ImportError('no torch here')\n")
    done = subprocess.run([sys.executable, "-m", "sparseref", "sparsify", "model.safetensors", "nmg-75", "-o", "x"], cwd=folder,
                          capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "pip install 'sparseref[models]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_needs_no_torch():
    """It stays quick."""
    program = "import sys; from sparseref.cli import app; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    expected = "[]\n"
    actual = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert expected == actual
