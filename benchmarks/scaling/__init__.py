"""How far each engine goes: `python -m benchmarks.scaling` measures what docs/scaling.md reckons with, and reckons."""
