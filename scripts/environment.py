"""Bring a virtual environment up to date: the interpreter, its packages and the native extension.

Each of the three is done only when what it is made from has changed, by the hashes kept in `<venv>/.stamps`, so a
second run costs a fraction of a second. Needs nothing but the standard library, since it runs before anything is
installed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The oldest pip that reads [dependency-groups].
PIP = "pip>=25.1"


def say(text: str) -> None:
    """Print one line of progress, at once even into a pipe."""
    print(f"==> {text}", flush=True)


def run(*command: str | Path, **environment: str) -> None:
    """Run a command in the project's root; where it fails, show what it printed and end this program."""
    words = [str(part) for part in command]
    finished = subprocess.run(
        words, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if finished.returncode:
        sys.stderr.buffer.write(finished.stdout)
        sys.exit(f"==> failed ({finished.returncode}): {' '.join(words)}")


def digest(*parts: object) -> str:
    """Hash a description of what something is made from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def contents(*paths: Path) -> list[tuple[str, str]]:
    """List the files at and under these paths with the hash of each, in a fixed order."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    return [(str(file.relative_to(ROOT)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]


class Environment:
    """A virtual environment that remembers what it was made from."""

    def __init__(self, folder: Path) -> None:
        """Describe the environment in this folder, whether it exists or not."""
        self.folder = folder
        self.python = folder / "bin" / "python"

    def is_current(self, step: str, made_from: str) -> bool:
        """Tell whether a step was last done from the same ingredients."""
        stamp = self.folder / ".stamps" / step
        return stamp.is_file() and stamp.read_text() == made_from

    def remember(self, step: str, made_from: str) -> None:
        """Note that a step is done."""
        stamp = self.folder / ".stamps" / step
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(made_from)

    def ensure_interpreter(self) -> None:
        """Create the environment for the interpreter that runs this program, over one of another interpreter."""
        made_from = digest(sys.version, os.path.realpath(sys.executable), PIP)
        if self.is_current("interpreter", made_from) and self.python.exists():
            return
        say(f"creating {self.folder.relative_to(ROOT)} with {sys.executable}, CPython {sys.version.split()[0]}")
        venv.create(self.folder, clear=True, with_pip=True)
        run(self.python, "-m", "pip", "install", "--quiet", "--upgrade", PIP)
        self.remember("interpreter", made_from)

    def ensure_packages(self, groups: list[str], requirements: list[Path]) -> None:
        """Install dependency groups of pyproject.toml, and requirements files."""
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
        wanted = [f"--group={group}" for group in groups] + [f"--requirement={file}" for file in requirements]
        step, made_from = "packages-" + digest(wanted)[:12], digest(known, contents(*requirements))
        if self.is_current(step, made_from):
            return
        say(f"installing {', '.join([*groups, *(str(file.relative_to(ROOT)) for file in requirements)])}")
        run(self.python, "-m", "pip", "install", "--quiet", *wanted)
        self.remember(step, made_from)

    def ensure_extension(self, profile: str, target: Path) -> None:
        """Compile the native half and install the package so that edits of its Python half need no build."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        sources = contents(ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / ".cargo", ROOT / "src")
        described = {name: project[name] for name in ("build-system", "project")} | project["tool"]["maturin"]
        version = f"{sys.version_info.major}{sys.version_info.minor}"
        built = list((ROOT / "python").glob(f"*/_core.cpython-{version}-*.so"))
        # The compiled file lies beside the sources, where a clean or another build may have touched it.
        made_from = digest(sources, described, profile)
        if self.is_current("extension", digest(made_from, contents(*built))):
            return
        say(f"building the extension for CPython {sys.version.split()[0]} (profile {profile})")
        run(
            *(self.folder / "bin" / "maturin", "develop", "--quiet", "--locked", "--profile", profile),
            VIRTUAL_ENV=str(self.folder),
            CARGO_TARGET_DIR=str(target),
        )
        built = list((ROOT / "python").glob(f"*/_core.cpython-{version}-*.so"))
        self.remember("extension", digest(made_from, contents(*built)))

    def borrow_extension(self) -> None:
        """Let this environment import the package from the sources, beside which another has put the compiled half."""
        site = next((self.folder / "lib").glob("python*/site-packages"))
        (site / "idempotency_manager.pth").write_text(f"{ROOT / 'python'}\n")


def main() -> None:
    """Read the command line and do the three steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="folder of the environment")
    parser.add_argument("--group", action="append", default=[], help="dependency group to install")
    parser.add_argument("--requirements", type=Path, action="append", default=[], help="requirements file to install")
    profile = os.environ.get("BUILD_PROFILE", "release")
    parser.add_argument("--profile", default=profile, help="cargo profile of the extension (or set BUILD_PROFILE)")
    parser.add_argument("--borrow-extension", action="store_true", help="use the one that was compiled for .venv")
    parser.add_argument("--target", type=Path, default=Path("target"), help="cargo's target folder")
    options = parser.parse_args()
    environment = Environment(ROOT / options.venv)
    environment.ensure_interpreter()
    groups = options.group if options.borrow_extension else ["build", *options.group]
    environment.ensure_packages(groups, [ROOT / file for file in options.requirements])
    if options.borrow_extension:
        environment.borrow_extension()
    else:
        environment.ensure_extension(options.profile, ROOT / options.target)


if __name__ == "__main__":
    main()
