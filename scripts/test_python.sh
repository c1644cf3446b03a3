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

# Every test is in one part: what the first three name, the fourth leaves out.
away=() # servers that go away, hang, refuse
servers=(tests/postgres tests/servers tests/queues)
processes=(tests/cli tests/integration/faults)
for file in tests/integration/test_*.py; do
    case $file in
        *test_server_*) away+=("$file") ;;
        *redis* | *postgres* | *batch* | *chaos*) servers+=("$file") ;;
        *) processes+=("$file") ;;
    esac
done
rest=(tests README.md docs)
for part in tests/integration "${servers[@]}" "${processes[@]}"; do
    rest+=("--ignore=$part")
done

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
declare -A running
start() {
    local -r part=$1
    shift
    "$python" -m pytest -p no:cacheprovider "$@" >"$logs/$part" 2>&1 &
    running[$part]=$!
}
start away "${away[@]}"
start servers "${servers[@]}"
start processes "${processes[@]}"
start rest "${rest[@]}"

failed=0
for part in away servers processes rest; do
    wait "${running[$part]}" || failed=1
    echo "==> pytest: $part"
    cat "$logs/$part"
done
exit "$failed"
