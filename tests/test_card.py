"""The format card counts what a layout costs and keeps; the figures here are worked by hand or follow from a formula."""

import io
import json
import sys
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_plugins import run
from rich.console import Console

import sparseref as sr
from sparseref import card, registry, select
from sparseref.card import compare
from sparseref.card.breakeven import csr_bits, sparsifier_for, storage_curve
from sparseref.card.measure import measure
from sparseref.card.rivals import nearest_nm, optimal


@dataclass(frozen=True)
class EveryOther(sr.Layout):
    """A layout from elsewhere: it stores every step-th entry of an array, counted row by row."""

    step: int
    offset: int = 0
    name: ClassVar[str] = "every-other"
    examples: ClassVar[tuple[str, ...]] = ("every-other:2", "every-other:3,offset=1")

    def _stored(self, shape):
        return np.arange(self.offset, int(np.prod(shape)), self.step)

    def fields(self, shape):
        return {"values": sr.Field(None, (len(self._stored(shape)),))}

    def positions(self, a):
        return self._stored(a.shape)

    def encode(self, dense, pattern):
        return {"values": dense.reshape(-1)[self._stored(dense.shape)]}


@dataclass(frozen=True)
class Whole(EveryOther):
    """A layout that names no examples, and whose parameters all have defaults."""

    step: int = 1
    name: ClassVar[str] = "whole"
    examples: ClassVar[tuple[str, ...]] = ()


@pytest.fixture
def forget():
    """What a test registers is forgotten after it."""
    yield
    for name in ("every-other", "whole"):
        registry.layouts.remove(name)


@pytest.mark.parametrize(("text", "expected"), [
    ("nmg:2:8:8", ["nmg:2:8:8"]),
    ("nmg:2:8:8,tail=short", ["nmg:2:8:8,tail=short"]),
    ("csr", ["csr"]),
    ("nm", list(sr.NM.examples)),
    (f"{__name__}:EveryOther", ["every-other:2", "every-other:3,offset=1"]),
    (f"{__name__}:EveryOther:4", ["every-other:4"]),
    (f"{__name__}:EveryOther:4,offset=2", ["every-other:4,offset=2"]),
    (f"{__name__}:EveryOther,step=4", ["every-other:4"]),
    (f"{__name__}:Whole", ["whole"]),
])
def test_layouts_at_reads_short_strings_and_addresses(text, expected, forget):
    """Parameters after the class are written as after a name (CORE-L1); without them its examples are meant."""
    actual = [str(layout) for layout in card.layouts_at(text)]

    assert expected == actual


def test_a_layout_from_elsewhere_is_known_by_its_name_afterwards(forget):
    expected = card.layouts_at(f"{__name__}:EveryOther:4")[0]
    actual = sr.parse_layout("every-other:4")

    assert expected == actual


@pytest.mark.parametrize(("text", "clause"), [
    ("nmgg:2:4:2", "REG-2"), ("no_such_module:Layout", "REG-3"), (f"{__name__}:Nothing", "REG-3"),
    (f"{__name__}:Console", "CORE-L1"), (f"{__name__}:EveryOther:1:2:3", "CORE-L1"), ("nmg:9:4:1", "NMG-C1"),
])
def test_layouts_at_refuses_what_names_no_layout(text, clause, forget):
    with pytest.raises(sr.SpecError) as refusal:
        card.layouts_at(text)

    assert refusal.value.clause == clause


@pytest.mark.parametrize(("text", "expected"), [
    ("csr:0.9", (sr.ScalarFraction(0.9), sr.CSR())),
    ("bsr:2:2:0.5", (sr.BlockFraction(2, 2, 0.5), sr.BSR(2, 2))),
    ("csr", (None, sr.CSR())),
    ("nm:2:4", (None, sr.NM(2, 4))),
])
def test_format_at_takes_a_fraction_where_there_is_one(text, expected):
    """A last part with a point is the share to drop (FMT-4)."""
    assert expected == card.format_at(text)


def random_weight(*shape):
    return card.random_weight(shape, np.dtype(np.float32))


WEIGHT = card.Weight("by hand", np.array([[4, 1, 2, 1], [1, 3, 1, 1]], np.float32))


def test_measure_counts_bits_padding_and_energy():
    """nm:1:3 of four columns: one real block and one with two columns of filling, so nothing is padding; 4 of 8 stored."""
    got = measure(sr.NM(1, 3), WEIGHT, sr.PerBlockNM(1, 3))
    expected = {"density": 0.5, "bits": 4 * (32 + 8), "dense_bits": 8 * 32, "bits_per_entry": 20.0, "bits_per_stored": 40.0,
                "padding_share": 0.0, "energy": 9 / 14}                        # 4 + 1 and 3 + 1 of 14
    actual = {name: getattr(got, name) for name in expected}

    assert expected == actual


def test_measure_sees_padding():
    """nmg:1:2:2 of four columns and two rows fills no slot; of three columns one slot of four is padding."""
    expected = (0.0, 0.25)
    actual = tuple(measure(sr.NMG(1, 2, 2), card.Weight("", WEIGHT.values[:, :columns]), sr.GreedyNMG(1, 2, 2)).padding_share
                   for columns in (4, 3))

    assert expected == actual


def test_index_limits_name_the_largest_in_use():
    """An idx of uint8 may hold 255; in nm:1:3 it holds at most 2. Values are no index."""
    fields = measure(sr.NM(1, 3), WEIGHT, sr.PerBlockNM(1, 3)).fields
    expected = [("values", None, None), ("idx", 255, 1)]
    actual = [(field.name, field.limit, field.largest) for field in fields]

    assert expected == actual


def test_rivals_keep_what_they_would_keep():
    """At 4 of 8: unstructured keeps 4 + 3 + 2 + 1 of 14; the layout's own n:m is not its rival."""
    expected = [("unstructured", 10 / 14)]
    actual = [(rival.name, rival.energy) for rival in measure(sr.NM(1, 3), WEIGHT, sr.PerBlockNM(1, 3)).rivals]

    assert expected == actual


def test_unstructured_nm_optimal_and_greedy_keep_less_and_less():
    """Each has the choices of the next and more: energy falls from the freest to the greedy."""
    weight = random_weight(24, 60)
    got = measure(sr.NMG(2, 4, 5), weight, sr.GreedyNMG(2, 4, 5))
    energies = [*(rival.energy for rival in got.rivals), got.energy]

    assert [rival.name for rival in got.rivals] == ["unstructured", "n:m", "nmg-optimal"]
    assert energies == sorted(energies, reverse=True)
    assert len(set(energies)) == 4


def test_optimal_is_measured_on_a_part_where_the_whole_takes_too_long(monkeypatch):
    """The note says on which part, and what the greedy keeps there; along the sparse axis whole blocks are taken."""
    monkeypatch.setattr("sparseref.card.rivals.MOST_ASSIGNMENT", 1)
    values = random_weight(24, 12).values
    part = values[:, :4]
    best, greedy = (select(part, f"{kind}:2:4:2,sparse_axis=1,group_axis=0") for kind in ("nmg-optimal", "nmg"))
    expected = (sr.energy(part, best), f"on 24 x 4 of it; greedy there {100 * sr.energy(part, greedy):.2f} %")
    got = optimal(sr.NMG(2, 4, 2, sparse_axis=1, group_axis=0), values)

    assert expected == (got.energy, got.note)


@pytest.mark.parametrize(("layout", "density", "expected"), [
    (sr.NMG(2, 8, 8), 0.25, (2, 8, 0)), (sr.VNM(4, 1, 4), 0.25, (1, 4, 1)), (sr.CSR(), 0.25, (1, 4, -1)),
    (sr.CSR(), 0.5, (1, 2, -1)), (sr.CSR(), 0.001, (1, 32, -1)), (sr.CSR(), 1.0, (2, 2, -1)), (sr.CSR(), 0.3, (5, 16, -1)),
])
def test_nearest_nm(layout, density, expected):
    """A layout's own n and m, else the nearest density, with the smallest m of equals."""
    assert expected == nearest_nm(layout, density)


def test_a_rival_of_another_density_says_so():
    got = measure(sr.CSR(), random_weight(8, 32), sr.ScalarFraction(0.71))
    expected = "9:32 along axis -1, density 0.281"

    assert expected == got.rivals[1].note


def test_break_even_of_csr_against_dense_is_where_the_formula_says():
    """nnz * (32 + 32) + (R + 1) * 32 = R * C * 32 has one solution; against itself csr takes as much everywhere."""
    rows, columns = 64, 64
    expected = ((rows * columns * 32 - (rows + 1) * 32) / 64 / (rows * columns), None, 1.0)
    dense, csr = measure(sr.CSR(), random_weight(rows, columns), sr.ScalarFraction(0.75)).break_even
    actual = (dense.density, csr.density, csr.ratio)

    assert expected == pytest.approx(actual)


def test_break_even_of_a_fixed_format_is_csrs_density_with_as_many_bits():
    """nm:2:4 in float32 takes 20 bits an entry; csr takes 20 bits an entry where the formula says."""
    got = measure(sr.NM(2, 4), random_weight(64, 64), sr.PerBlockNM(2, 4))
    dense, csr = got.break_even
    expected = (20.0, None, 20 / 32, 64 * 64 * 20)
    actual = (got.bits_per_entry, dense.density, dense.ratio, round(csr_bits((64, 64), np.dtype(np.float32), csr.density)))

    assert expected == actual


@pytest.mark.parametrize(("layout", "shape", "expected"), [
    (sr.Masked(), (4, 4), ["at density 0.5 it takes 1.25 times dense",                         # 40 and 32 bits an entry
                           "at density 0.5 it takes 0.952 of csr; csr takes as much at density 0.469"]),   # 640 of 672 bits
    (sr.COO(), (4, 4), ["at density 0.5 it takes 1.5 times dense; equal at density 0.333",     # 96 bits a stored entry
                        "at density 0.5 it takes 1.14 times csr; equal at density 0.312"]),    # 96 nnz = 64 nnz + 160
    (sr.CSR(), (4, 4), ["at density 0.5 it takes 1.31 times dense; equal at density 0.344",    # 64 nnz + 160 = 512
                        "at density 0.5 it takes as much as csr"]),
    (sr.ELL(), (1, 8), ["at density 0.5 it takes as much as dense; equal at density 0.5",      # a rung of the ladder
                        "at density 0.5 it takes 0.8 of csr; less at every density"]),         # 256 of 320 bits
    (EveryOther(16), (64, 1), ["at density 0.0625 it takes 0.0625 of dense",
                               "at density 0.0625 it takes 0.0548 of csr; csr takes more at every density"]),  # 128 of 2,336
    (sr.NMG(1, 2, 8), (2, 1), ["at density 0.5 it takes 10 times dense",                       # 16 slots of 40 bits
                               "at density 0.5 it takes 4 times csr; csr takes less at every density"]),       # 640 of 160
])
def test_break_even_in_words(layout, shape, expected):
    """By how much at the density measured, and at which density, if any, both are equal."""
    got = measure(layout, random_weight(*shape), sparsifier_for(layout, 0.5))
    actual = [even.says for even in got.break_even]

    assert expected == actual


def test_break_even_of_what_is_no_matrix_is_against_dense_alone():
    """csr describes matrices only (CSR-C1)."""
    got = measure(sr.Masked(), random_weight(2, 3, 4), sr.ScalarFraction(0.5))
    expected = ["dense"]
    actual = [even.against for even in got.break_even]

    assert expected == actual


@pytest.mark.parametrize("shape", [(0, 8), (8, 0)])
@pytest.mark.parametrize("layout", ["nmg:2:4:2", "csr", "masked", "vnm:2:1:4", "bsr:2:2", "ell", "dense"])
def test_an_empty_weight_has_a_card(layout, shape):
    """No division by zero: energy of nothing is 1, ratios against nothing are 1 (SPF-11)."""
    kind = sr.parse_layout(layout)
    got = measure(kind, random_weight(*shape), sparsifier_for(kind, 0.5))

    assert (got.energy, got.density) == (1.0, 0.0)
    json.dumps(got.break_even[0].ratio, allow_nan=False)


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "ell", "bsr:2:2"])
def test_storage_rises_with_density(name):
    values = random_weight(16, 16).values
    densities, bits = zip(*storage_curve(sr.parse_layout(name), values), strict=True)

    assert list(densities) == sorted(densities)
    assert list(bits) == sorted(bits)
    assert len(set(bits)) > 4


@pytest.mark.parametrize("name", ["dense", "masked", "nm:2:4", "nmg:2:4:2"])
def test_fixed_storage_has_no_curve(name):
    assert storage_curve(sr.parse_layout(name), np.ones((8, 12), np.float32)) == ()


@pytest.fixture(scope="module", params=["nmg:2:4:2", "csr", "whole"])
def made(request):
    """A card of two small weights."""
    layout = Whole() if request.param == "whole" else sr.parse_layout(request.param)
    return card.make_card(layout, [random_weight(8, 16), random_weight(16, 8)])


def test_make_card_reports_each_weight():
    heard = []
    weights = [random_weight(4, 8), WEIGHT]
    card.make_card(sr.CSR(), weights, on_weight=lambda weight, done, total: heard.append((weight.source, done, total)))

    assert heard == [("random normal, seed 0", 1, 2), ("by hand", 2, 2)]


def test_make_card_takes_another_sparsifier():
    expected = "random-fraction:0.5"
    actual = card.make_card(sr.CSR(), [WEIGHT], sparsifier=sr.RandomFraction(0.5)).measurements[0].sparsifier

    assert expected == actual


def test_the_terminal_shows_every_figure(made):
    """Layout, both weights, energy and the rivals, break-even in words."""
    console = Console(width=140, record=True, file=io.StringIO())
    card.print_card(made, console)
    shown = console.export_text()
    wanted = [made.layout, "8 x 16", "16 x 8", "energy kept", "unstructured", f"{100 * made.measurements[0].energy:.2f} %",
              *(f"against {even.against}: {even.says}" for m in made.measurements for even in m.break_even)]

    assert [word for word in wanted if word not in shown] == []


def test_json_holds_what_the_card_says(made, tmp_path):
    data = json.loads(card.write_json(made, tmp_path / "card.json").read_text())
    expected = (made.layout, [m.energy for m in made.measurements], [m.bits for m in made.measurements])
    actual = (data["layout"], [m["energy"] for m in data["measurements"]], [m["bits"] for m in data["measurements"]])

    assert expected == actual


def test_the_page_stands_alone(made, tmp_path):
    """Three plots inside, well-formed, and nothing is fetched from anywhere."""
    page = card.write_html(made, tmp_path / "card.html").read_text()
    plots = [part[:part.index("</svg>") + 6] for part in page.split("<svg")[1:]]

    assert len(plots) == 3
    for plot in plots:
        ElementTree.fromstring("<svg" + plot)
    assert not any(word in page for word in ("<script", "src=", "@import", 'href="http'))
    assert made.layout in page


@pytest.mark.parametrize(("module", "names"), [("jinja2", "jinja2"), ("matplotlib", "matplotlib")])
def test_the_page_names_the_package_that_is_missing(module, names, made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(sr.MissingDependency, match=names):
        card.write_html(made, tmp_path / "card.html")

    assert list(tmp_path.iterdir()) == []


def test_trained_weights_are_there_only_with_their_package(monkeypatch):
    """Two matrices of a real model, or none; never an error."""
    found = card.trained_weights(np.dtype(np.float32))
    monkeypatch.setattr("sparseref.card.weights.find_spec", lambda name: None)

    assert [weight.values.shape for weight in found] in ([(1536, 384), (384, 1536)], [])
    assert card.trained_weights(np.dtype(np.float32)) == []


# ---- Side by side


@pytest.fixture(scope="module")
def cards():
    """Two formats on two weights."""
    rng = np.random.default_rng(0)
    weights = [card.Weight("drawn", rng.normal(size=shape).astype(np.float32)) for shape in ((8, 32), (16, 16))]
    return [card.make_card(sr.registry.parse_layout(text), weights, 0.25) for text in ("nm:2:8", "csr")]


def test_side_by_side_are_formats_on_the_same_weight(cards):
    """A line a format; csr takes what csr takes, and keeps what unstructured pruning keeps."""
    found = compare.tables(cards)
    nm, csr = found["drawn, 8 x 32 float32"]

    assert list(found) == ["drawn, 8 x 32 float32", "drawn, 16 x 16 float32"]
    assert (nm[0], nm[2], nm[5]) == ("nm:2:8", "25.0 %", "0.312")                          # (32 + 8 bits) / 4 of 32
    assert (csr[0], csr[6], csr[8]) == ("csr", "1.000", "1.000")
    assert 0 < float(nm[8]) < 1


def test_a_comparison_as_data_and_as_a_page(cards, tmp_path):
    """Whole cards; one plot, a table a weight."""
    data = json.loads(card.write_comparison_json(cards, tmp_path / "c.json").read_text())
    page = card.write_comparison_html(cards, tmp_path / "c.html").read_text()

    assert [card["layout"] for card in data] == ["nm:2:8", "csr"]
    assert (page.count("<svg"), page.count("<table")) == (1, 2)


def test_the_command_compares(tmp_path):
    """Several formats want --compare; files of both kinds."""
    files = [tmp_path / name for name in ("c.json", "c.html")]
    shown = run("card", "--compare", "--no-backends", "nm:2:8", "csr:0.75", "--shape", "8x32", "--json", str(files[0]),
                "--html", str(files[1]))

    assert "8 x 32 float32" in shown
    assert all(file.exists() for file in files)
    assert "--compare sets them side by side" in " ".join(run("card", "nm:2:8", "csr", code=2).replace("│", " ").split())
