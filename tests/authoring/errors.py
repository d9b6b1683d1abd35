"""Vectors of errors and of names: how a call is refused, what a registry knows."""

from .making import by_hand, call, f32, generated, i32, line, refused, sparse

BROKEN = sparse("csr", (1, 2), indptr=i32([0, 1]), indices=i32([2]), values=f32([1]))      # there is no column 2

VECTORS = [
    by_hand("error-names-its-clause", "ERR-1",
            "csr takes matrices (CSR-C1); the error says what was given, and what is wanted.",
            call("refusal", call("encode", f32([1, 2]), line("11"), layout="csr")), ("CSR-C1", True, True)),
    by_hand("error-any-of-several", "ERR-1", "Column 2 of 2 breaks CSR-C3, and nothing else is wrong.",
            call("refusal", call("validate", BROKEN)), ("CSR-C3", True, True)),
    by_hand("error-leaves-operands", "ERR-2", "The shapes do not fit; operands unchanged: true, memory shared: false.",
            call("leaves_alone", call("add", f32([[1, 2, 3]]), f32([[1, 2]]))), (True, False)),
    by_hand("register-new", "REG-1", "The name is free.", call("register", "layouts", "staircase"), "staircase"),
    refused("register-taken", "REG-1", "Another layout is called csr.", call("register", "layouts", "csr")),
    refused("register-taken-sparsifier", "REG-1", "Another sparsifier is called nm.", call("register", "sparsifiers", "nm")),
    generated("name-of-operator", "REG-2", "A registered operator.", call("operator_name", "conv2d")),
    by_hand("name-of-layout", "REG-2", "A registered layout.", call("parse_layout_string", "csr"), "csr"),
    refused("name-unknown-layout", "REG-2", "Nobody registers this name.", call("parse_layout_string", "no-such-layout:2")),
    refused("name-unknown-sparsifier", "REG-2", "csr is a layout, not a sparsifier.", call("parse_sparsifier_string", "csr")),
    refused("name-unknown-operator", "REG-2", "Nobody registers this name.", call("operator_name", "no-such-operator")),
    by_hand("address", "REG-3", "The class CSR of the module sparseref.layouts.", call("load_name", "sparseref.layouts:CSR"),
            "CSR"),
    refused("address-no-module", "REG-3", "There is no such module.", call("load_name", "no_such_module:CSR")),
    refused("address-no-name", "REG-3", "The module has no such name.", call("load_name", "sparseref.layouts:NoSuchLayout")),
    refused("address-no-colon", "REG-3", "A module alone is no address.", call("load_name", "sparseref.layouts")),
]
