#!/usr/bin/env bash
# Runs the Python suite, but for what needs to run once, on every CPython of this machine that the project supports,
# except the one named first (which `make test` has used already). Arguments after it go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

# What takes minutes and depends on no interpreter: processes that are killed, disks that are full, commands, the demo.
elsewhere=(
    --ignore=tests/cli
    --ignore=tests/servers
    --ignore=tests/integration/test_chaos.py
    --ignore=tests/integration/test_demo.py
    --ignore=tests/integration/test_sqlite_crashes.py
    --ignore=tests/integration/test_sqlite_faults.py
    --ignore=tests/integration/test_sqlite_lifecycle_crowd.py
    --ignore=tests/integration/test_sqlite_lifecycle_killed.py
    --ignore=tests/integration/test_sqlite_lifecycle_renewal.py
    --ignore=tests/integration/test_sqlite_lifecycle_stopped.py
    --ignore=tests/integration/test_transaction_killed.py
    --ignore=tests/postgres/test_transaction_killed.py
    --ignore=tests/postgres/test_transaction_races.py
)

main_version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
shift
tested=()
while IFS= read -r python; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [[ $version == "$main_version" ]]; then
        continue
    fi
    # A target folder for each: pyo3 is compiled for one interpreter, and taking turns in one folder would
    # compile it anew each time.
    "$python" scripts/environment.py --venv ".venvs/$version" --group test --profile ci --target "target/py$version"
    echo "==> pytest on CPython $version"
    ".venvs/$version/bin/python" -m pytest "${elsewhere[@]}" "$@"
    tested+=("$version")
done < <(scripts/pythons.sh)
echo "==> also tested on CPython: ${tested[*]:-no other version is installed here}"
