"""Topic 8: what `import idempotency_manager` costs."""

from ._fresh import number_from
from ._measure import Options
from ._report import Table, Target, timed
from .peers import THIS

REFERENCE = "import asyncio"
STATEMENTS = {
    THIS: "import idempotency_manager",
    REFERENCE: "import asyncio",
    "cachebox": "import cachebox",
    "moka-py": "import moka_py",
    "theine": "import theine",
    "Powertools": "import aws_lambda_powertools.utilities.idempotency",
}
PROGRAM = "import time; t = time.perf_counter_ns(); {}; print(time.perf_counter_ns() - t)"
LIMIT = Target(0.4)
LEAST_ROUNDS = 15

CAPTION = (
    "A new interpreter for each; the clock starts inside it, right before the import, so its own start doesn't "
    "count. Byte code is cached, files are warm. The ratio is this package's time divided by the row's."
)


def run(options: Options) -> list[Table]:
    """Imports each in turn, many times over."""
    samples: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for statement in STATEMENTS.values():
        number_from("-c", PROGRAM.format(statement))
    for _ in range(max(options.rounds, LEAST_ROUNDS)):
        for name, statement in STATEMENTS.items():
            samples[name].append(number_from("-c", PROGRAM.format(statement)))
    bounds = {REFERENCE: LIMIT}
    rows = tuple(timed("first import", name, samples, THIS, bounds.get(name)) for name in STATEMENTS)
    return [Table("8  Import", CAPTION, ("ns", "fastest round"), "this package ÷ it", rows)]
