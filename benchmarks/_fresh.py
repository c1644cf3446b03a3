"""A new interpreter for what only a new process can show: memory, and the cost of an import."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def number_from(*arguments: str) -> int:
    """Runs this interpreter anew from the root of the repository and reads the one number that it prints."""
    done = subprocess.run(  # noqa: S603 - this interpreter, with arguments of ours
        [sys.executable, *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        message = f"python {' '.join(arguments)} failed:\n{done.stderr}"
        raise RuntimeError(message)
    return int(done.stdout)
