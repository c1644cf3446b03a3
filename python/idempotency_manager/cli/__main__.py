"""`python -m idempotency_manager.cli`: the `idempotency` command, for where its script is not on the path."""

import sys

from . import main

sys.exit(main())
