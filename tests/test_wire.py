"""What comes in as text: JSON of the wire, lines to a worker, command lines, names of profiles."""

import io
import json

import numpy as np
from checking import refusal
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.conformance.runner import PROFILES, checked_profile
from sparseref.conformance.serving import serve
from sparseref.conformance.vectors import same
from sparseref.conformance.wire import Call, from_json, to_json
from sparseref.conformance.worker import WorkerBackend

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False), some.arrays(),
              some.sparse_arrays()), lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


@given(st.lists(values, max_size=3), st.dictionaries(st.text(), values, max_size=2))
def test_any_call_comes_back_from_its_json(operands, parameters):  # WIRE-1
    """Bit for bit, whatever it carries."""
    call = Call("anything", tuple(operands), parameters)
    actual = from_json(json.loads(json.dumps(to_json(call))))

    assert call.operation == actual.operation
    assert same(call.operands, actual.operands)
    assert call.parameters.keys() == actual.parameters.keys()
    assert all(same(value, actual.parameters[name]) for name, value in call.parameters.items())


@given(some.arrays((3,)), st.integers(0, 2), st.sampled_from([1.5, "one", None, 2**40, True, "10",
                                                                    "0x1.00000000000001p+0", "0x1p-9999999999"]))
def test_what_is_no_element_of_the_dtype_is_refused(array, place, wrong):  # WIRE-1
    """Nothing is rounded, wrapped or taken for something else."""
    data = to_json(array)
    data["data"][place] = wrong
    expected = "WIRE-1"
    actual = refusal(from_json, data)

    assert expected == actual


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3), st.integers(0, 3))
def test_a_float_may_be_written_as_c_writes_it(number, shift, zeros):  # WIRE-1
    """Any first digit and any zeros at the end, as long as no bit is lost."""
    sign, _, rest = number.hex().partition("0x")               # 0x1.8000000000000p+1: one digit and 13, of 4 bits each
    digits, _, exponent = rest.replace(".", "").partition("p")
    significand = int(digits, 16) << shift
    text = f"{sign}0x{significand >> 52:x}.{significand % 2**52:013x}{'0' * zeros}p{int(exponent) - shift:+}"
    expected = number
    actual = from_json({"float": text})

    assert expected == actual


@given(st.lists(st.one_of(st.text(), st.integers().map(lambda number: json.dumps({"id": number, "hello": 1}))), max_size=3))
def test_every_line_is_answered_by_one_line(lines):  # WIRE-2
    """A JSON object with the id that the line has, and a result or an error, whatever the line holds."""
    replies = io.StringIO()
    serve(sr.Reference(), lines, replies)
    answers = [json.loads(line) for line in replies.getvalue().splitlines()]
    expected = [id_of(line) for line in lines]
    actual = [answer["id"] for answer in answers]

    assert expected == actual
    assert all("name" in answer or {"clause", "message"} <= set(answer["error"]) for answer in answers)


def id_of(line):
    """The id of a line, None where it has none."""
    try:
        return json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        return None


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_command_that_starts_no_process_is_refused(text):  # WIRE-3
    """No such program, an open quotation mark, or nothing at all."""
    expected = "WIRE-3"
    actual = refusal(WorkerBackend, f"./no-such-folder/{text}")

    assert expected == actual


@given(st.text().filter(lambda name: name not in PROFILES))
def test_a_profile_that_does_not_exist_is_refused(name):  # KIT-1
    """By its name; those that exist are given back."""
    expected = "KIT-1"
    actual = refusal(checked_profile, name)

    assert expected == actual
    assert tuple(map(checked_profile, PROFILES)) == PROFILES


def test_an_integer_array_holds_no_floats():
    """WIRE-1: 1.0 is not the integer 1."""
    data = {**to_json(np.zeros(1, np.int32)), "data": [1.0]}
    expected = "WIRE-1"
    actual = refusal(from_json, data)

    assert expected == actual
