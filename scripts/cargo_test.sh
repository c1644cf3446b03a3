#!/usr/bin/env bash
# Runs `cargo test` with the arguments given, and fails where it passes because it found no test.
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --locked "$@" 2>&1 | tee "$log"
passed=$(awk '/^test result: ok\./ { sum += $4 } END { print sum + 0 }' "$log")
if ((passed == 0)); then
    echo "cargo test $* ran no test: something that should be found is not" >&2
    exit 1
fi
