"""What every test has: the hypothesis profiles."""

import os

from hypothesis import HealthCheck, settings

# `make test` must end in minutes on two busy cores, where a wall-clock deadline for one example only measures the
# neighbours; `make fuzz` looks harder.
settings.register_profile("fast", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("slow", settings.get_profile("fast"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
