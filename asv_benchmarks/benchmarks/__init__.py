"""Benchmarks for asv.  What they time is checked first: a wrong answer is an error, not a figure."""
