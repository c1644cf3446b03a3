#!/usr/bin/env bash
# Installs the one wheel in the folder given into a clean environment, where there is no Rust toolchain and no source
# tree in sight, makes one decorated call, asks the command for its extra, and runs a user's pytest suite, which is given
# nothing but pytest beside the wheel. What it proves: the wheel is whole.
set -euo pipefail

python=$1
project=$(realpath "$(dirname "$0")/../examples/pytest_project")
wheels=("$2"/*.whl)
if [[ ${#wheels[@]} -ne 1 || ! -f ${wheels[0]} ]]; then
    echo "expected exactly one wheel in $2, found: ${wheels[*]}" >&2
    exit 1
fi
wheel=$(realpath "${wheels[0]}")
clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT

"$python" -m venv "$clean/venv"
mkdir "$clean/home"
# Nothing but the environment's own programs, so no compiler, can be found. pip's settings (an index, a certificate)
# say where to get things; the rest of this shell's variables is not to be seen.
mapfile -t pip_settings < <(env | grep '^PIP_' || true)
bare=(env -i "PATH=$clean/venv/bin" "HOME=$clean/home" "${pip_settings[@]}")
cd "$clean"
"${bare[@]}" "$clean/venv/bin/python" -m pip install --quiet "$wheel"
"${bare[@]}" "$clean/venv/bin/python" -I - <<'PYTHON'
import idempotency_manager
from idempotency_manager import idempotent

calls = []


@idempotent(target="post office")
def send(signal_id: str, text: str) -> dict[str, str]:
    calls.append(text)
    return {"sent": text}


first, second = send("letter-1", "hello"), send("letter-1", text="hello")
assert first == second == {"sent": "hello"}, (first, second)
assert calls == ["hello"], calls
print(f"{idempotency_manager.__file__}: called twice, sent {len(calls)} letter")
PYTHON
if said=$("${bare[@]}" "$clean/venv/bin/idempotency" 2>&1) || [[ $said != *"idempotency-manager[cli]"* ]]; then
    echo "without its extra, the command should have named it, but said: $said" >&2
    exit 1
fi
"${bare[@]}" "$clean/venv/bin/python" -m pip install --quiet "pytest>=9.0"
cp -r "$project" "$clean/project"
for store in memory:// "sqlite:///$clean/records.db"; do
    "${bare[@]}" "$clean/venv/bin/python" -m pytest --quiet "--rootdir=$clean/project" -p no:cacheprovider \
        "--idempotency-store=$store" "$clean/project"
done
echo "==> $(basename "$wheel") works without a Rust toolchain"
