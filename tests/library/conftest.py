"""Property tests: the same examples on every run; many more with ``--hypothesis-profile=long``."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=5000, stateful_step_count=100)
settings.load_profile("fixed")
