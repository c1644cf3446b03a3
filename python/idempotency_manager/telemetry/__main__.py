"""`python -m idempotency_manager.telemetry` prints where the shipped files are, one a line."""

import sys

from ._files import files

sys.stdout.write("".join(f"{file}\n" for file in files()))
