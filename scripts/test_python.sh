#!/usr/bin/env bash
# Runs the whole Python suite in parts side by side, since much of it waits: for processes that are killed, for servers that
# are away. Arguments: the interpreter, then pytest's own; with any of those, everything runs in one go.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$1
shift
if (($# > 0)); then
    exec "$python" -m pytest "$@"
fi

# Every test is in one part: what the first two name, the third leaves out.
servers=(tests/cli tests/postgres tests/servers)
processes=()
for file in tests/integration/test_*.py; do
    case $file in
        *server* | *redis* | *postgres* | *batch*) servers+=("$file") ;;
        *) processes+=("$file") ;;
    esac
done
rest=(tests README.md docs --ignore=tests/integration --ignore=tests/cli --ignore=tests/postgres --ignore=tests/servers)

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
declare -A parts
"$python" -m pytest -p no:cacheprovider "${servers[@]}" >"$logs/servers" 2>&1 & parts[servers]=$!
"$python" -m pytest -p no:cacheprovider "${processes[@]}" >"$logs/processes" 2>&1 & parts[processes]=$!
"$python" -m pytest -p no:cacheprovider "${rest[@]}" >"$logs/rest" 2>&1 & parts[rest]=$!

failed=0
for part in servers processes rest; do
    wait "${parts[$part]}" || failed=1
    echo "==> pytest: $part"
    cat "$logs/$part"
done
exit "$failed"
