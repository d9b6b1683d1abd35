"""Benchmarks for asv.  What they time is checked first: what does not conform fails and says so, what is declined is n/a."""
