"""Tutorials as programs: what a page has its reader save, type and see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
END = "\x1e"
BLOCK = re.compile(r"^```(?P<kind>\w*)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; one with a title is a file that the reader saves."""

    kind: str
    file: str | None
    body: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(**found.groupdict()) for found in BLOCK.finditer(page.read_text())]


@dataclass(frozen=True)
class Step:
    """A line that the reader types, and what it shows."""

    typed: str
    shown: str

    def agrees(self, printed: str) -> bool:
        """Tell whether a run printed what the page shows, where … stands for any text."""
        return re.fullmatch(".*".join(map(re.escape, self.shown.split("…"))), printed, re.DOTALL) is not None


def typed(block: Block) -> list[Step]:
    """The lines of a session; one that ends in a backslash goes on in the next."""
    parts = re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]
    found = [re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL) for part in parts]
    return [Step(part[1], part[2]) for part in found if part]


def script(page: Path) -> tuple[str, list[Step]]:
    """A shell's program that saves each file and runs each line of a page in order, and what the lines should print."""
    program, steps = "", []
    for block in blocks(page):
        if block.file:
            program += f"cat > {block.file} <<'{END}'\n{block.body}{END}\n"
        elif block.kind == "console":
            for step in typed(block):
                program += f"{step.typed}printf '{END}'\n"
                steps.append(step)
    return program, steps
