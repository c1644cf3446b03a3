#!/usr/bin/env bash
# Runs the Python suite, but for what needs to run once, on every CPython of this machine that the project supports,
# except the one named first (which `make test` has used already). Arguments after it go to pytest. With --prepare before
# it, nothing is run: their environments are made.
set -euo pipefail
cd "$(dirname "$0")/.."

only_prepare=false
if [[ $1 == --prepare ]]; then
    only_prepare=true
    shift
fi

# What depends on no interpreter: processes that are killed, disks that are full, servers that go away, commands, the demo,
# the screens, the site and its tutorials.
elsewhere=(--ignore=tests/cli --ignore=tests/integration --ignore=tests/postgres --ignore=tests/servers
    --ignore=tests/queues --ignore=tests/dashboard --ignore=tests/site)

# All that are here, or with OTHER_PYTHONS=newest the newest, where time is short.
mapfile -t pythons < <(scripts/pythons.sh)
if [[ ${OTHER_PYTHONS:-all} == newest ]]; then
    mapfile -t pythons < <(for python in "${pythons[@]}"; do
        echo "$("$python" -c 'import sys; print("%03d%03d" % sys.version_info[:2])') $python"
    done | sort | tail -n 1 | cut -d " " -f 2-)
fi

main_version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
shift
tested=()
for python in "${pythons[@]}"; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [[ $version == "$main_version" ]]; then
        continue
    fi
    # One target folder for all: what names no interpreter, nearly everything, is compiled once.
    "$python" scripts/environment.py --venv ".venvs/$version" --group test --profile ci
    if $only_prepare; then
        continue
    fi
    echo "==> pytest on CPython $version"
    ".venvs/$version/bin/python" -m pytest "${elsewhere[@]}" "$@"
    tested+=("$version")
done
$only_prepare || echo "==> also tested on CPython: ${tested[*]:-no other version is installed here}"
