"""How the tests draw their examples."""

from hypothesis import settings

# A red run must be red again, so examples are the same every time; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("fixed", deadline=None, max_examples=50, derandomize=True, database=None)
settings.register_profile("quick", deadline=None, max_examples=8, derandomize=True, database=None)    # make check
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("fixed")
