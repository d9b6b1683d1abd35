"""Vectors of the wire and of the kit's own files."""

from .making import INF, NAN, by_hand, call, f32, i32, refused, sparse

WORKER = "{python} {spec}/examples/worker.py"
CSR = sparse("csr", (2, 3), indptr=i32([0, 1, 3]), indices=i32([1, 0, 2]), values=f32([7, 5, 6]))

VECTORS = [
    by_hand("wire-floats", "WIRE-1", "1.5 = 1.1 in binary = 0x1.8 * 2**0; -0, NaN and inf have words of their own.",
            call("to_text", f32([1.5, -0.0, NAN, -INF])),
            '{"data": ["0x1.8000000000000p+0", "-0x0.0p+0", "nan", "-inf"], "dtype": "float32", "shape": [4]}'),
    by_hand("wire-integers", "WIRE-1", "Integers are numbers.", call("to_text", i32([[1, -2]])),
            '{"data": [1, -2], "dtype": "int32", "shape": [1, 2]}'),
    by_hand("wire-sparse", "WIRE-1", "The layout as its short string, fields by name.",
            call("from_text", '{"layout": "coo", "shape": [2], "dtype": "float32", "arrays": {"coords": {"dtype": "int32", '
                 '"shape": [1, 1], "data": [1]}, "values": {"dtype": "float32", "shape": [1], "data": ["0x1p+3"]}}}'),
            sparse("coo", (2,), coords=i32([[1]]), values=f32([8]))),
    by_hand("wire-float-parameter", "WIRE-1", "A half is 1 * 2**-1.", call("to_text", 0.5),
            '{"float": "0x1.0000000000000p-1"}'),
    by_hand("wire-missing-operand", "WIRE-1", "None is null, several results are a list.", call("from_text", "[null, true, 3]"),
            (None, True, 3)),
    refused("wire-decimal", "WIRE-1", "A float is a hexadecimal string, not a number.", call("from_text", '{"float": 1.5}')),
    refused("wire-no-prefix", "WIRE-1", "Without 0x it might be ten or sixteen.", call("from_text", '{"float": "10"}')),
    refused("wire-too-long", "WIRE-1", "1 + 2**-56 is no float64, and is not rounded to 1.",
            call("from_text", '{"float": "0x1.00000000000001p+0"}')),
    by_hand("wire-as-c-writes-it", "WIRE-1", "Twelve eighths are 1.5.", call("from_text", '{"float": "0xcp-3"}'), 1.5),
    refused("wire-not-of-the-dtype", "WIRE-1", "float16 has 11 bits: 1 + 2**-12 is no float16, and is not rounded to one.",
            call("from_text", '{"dtype": "float16", "shape": [1], "data": ["0x1.001p+0"]}')),
    refused("wire-bool-as-integer", "WIRE-1", "A bool is true or false.",
            call("from_text", '{"dtype": "bool", "shape": [1], "data": [1]}')),
    refused("wire-too-few-elements", "WIRE-1", "3 elements for a shape of 4.",
            call("from_text", '{"dtype": "int32", "shape": [2, 2], "data": [1, 2, 3]}')),
    refused("wire-nothing-known", "WIRE-1", "None of the forms.", call("from_text", '{"tensor": []}')),
    by_hand("worker-answers", "WIRE-2", "The example worker decodes 0 7 0 / 5 0 6.", call("ask", WORKER, call("decode", CSR)),
            f32([[0, 7, 0], [5, 0, 6]])),
    by_hand("worker-starts", "WIRE-3 WIRE-2", "Name and version as the example worker writes them.", call("greet", WORKER),
            ("example-python", "1")),
    refused("worker-does-not-start", "WIRE-3", "There is no such program.", call("greet", "./no-such-worker")),
    by_hand("known-list", "KNOWN-1", "One entry with a case and a reason.",
            call("known_failures", '[[known]]\ncase = "L1/*"\nreason = "being written"\n'), (("L1/*", "being written"),)),
    refused("known-list-no-reason", "KNOWN-1", "The reason is missing.", call("known_failures", '[[known]]\ncase = "L1/*"\n')),
    refused("known-list-more", "KNOWN-1", "A key that no entry has.",
            call("known_failures", '[[known]]\ncase = "L1/*"\nreason = "x"\nuntil = "May"\n')),
    by_hand("profile", "KIT-1", "quick is one of the two profiles.", call("profile", "quick"), "quick"),
    refused("profile-unknown", "KIT-1", "The profiles are quick and full.", call("profile", "fast")),
    by_hand("report", "REPORT-1", "A report without outcomes.",
            call("report_backend", '{"format": "sparseref-conformance-1", "backend": "torch", "version": "1", "profile": '
                 '"quick", "expected": 0, "seconds": 0, "versions": {}, "summary": {}, "outcomes": []}'), "torch"),
    refused("report-other-format", "REPORT-1", "Another format.", call("report_backend", '{"format": "coverage-3"}')),
    refused("report-half-written", "REPORT-1", "No JSON.", call("report_backend", '{"format": "sparseref-conf')),
]
