#!/usr/bin/env bash
# Runs the Python suite on every CPython of this machine that the project supports, except the one named first
# (which `make test` has used already). Arguments after it go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

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
    ".venvs/$version/bin/python" -m pytest "$@"
    tested+=("$version")
done < <(scripts/pythons.sh)
echo "==> also tested on CPython: ${tested[*]:-no other version is installed here}"
