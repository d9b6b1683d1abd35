"""Linears of several libraries side by side: each output checked, then timed in turns in one process."""
