#!/usr/bin/env bash
# Prints the CPython interpreters this project can be built for, one absolute path a line: the newest patch release
# that works of each minor version from 3.11 on. The first is the one to develop with; --first prints only that.
#
# A name on PATH proves nothing (a pyenv shim exists for versions that are not switched on, and Debian ships a Python
# that can't make virtual environments), so each candidate is run before it is believed.
set -euo pipefail

readonly OLDEST=11 NEWEST=15

# What a candidate must be able to do; answers with its minor version and its real path.
readonly PROBE='
import sys, sysconfig
assert sys.implementation.name == "cpython" and sys.version_info[0] == 3
assert not sysconfig.get_config_var("Py_GIL_DISABLED")  # declared unsupported until a test under it has run
import ensurepip, venv
print(sys.version_info[1], sys.executable)
'

candidates() {
    local minor pyenv
    for minor in 13 12 11 $(seq 14 "$NEWEST"); do
        type -aP "python3.$minor" || true
    done
    type -aP python3 python || true
    shopt -s nullglob
    # pyenv says nothing of where it is to one whose HOME is elsewhere.
    pyenv=$(type -P pyenv || true)
    printf '%s\n' {"${PYENV_ROOT:-$HOME/.pyenv}","${pyenv%/bin/pyenv}"}/versions/3.*/bin/python | sort -rVu
    printf '%s\n' /usr/bin/python3.1? /usr/local/bin/python3.1? /opt/python/*/bin/python
}

seen=" "
while IFS= read -r candidate; do
    answer=$("$candidate" -I -c "$PROBE" 2>/dev/null) || continue
    read -r minor executable <<<"$answer"
    if ((minor < OLDEST || minor > NEWEST)) || [[ $seen == *" $minor "* ]]; then
        continue
    fi
    seen+="$minor "
    printf '%s\n' "$executable"
    if [[ ${1:-} == --first ]]; then
        break
    fi
done < <(candidates)

if [[ $seen == " " ]]; then
    echo "No CPython 3.$OLDEST or newer that can make a virtual environment was found." >&2
    echo "Install one (on Debian and Ubuntu: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python" >&2
    exit 1
fi
