"""The conformance kit: does a backend, or a layout alone, do what the clauses say?"""
