"""Folders on a real disk: in a file system that lives in memory a commit costs nothing, and so says nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from ._measure import Options

MOUNTS = Path("/proc/self/mounts")
IN_MEMORY = ("tmpfs", "ramfs")
UNKNOWN = "an unknown file system"


@contextmanager
def folder_on_disk(options: Options) -> Iterator[Path]:
    """A new folder in `--directory`, else where temporary files go; removed at the end."""
    parent = (options.directory or Path(gettempdir())).resolve()
    if (kind := file_system(parent)) in IN_MEMORY:
        message = f"{parent} is in memory ({kind}): name a folder on a disk with --directory"
        raise RuntimeError(message)
    with TemporaryDirectory(prefix="benchmarks-", dir=parent) as folder:
        yield Path(folder)


def file_system(folder: Path) -> str:
    """What kind of file system the folder is in, as the system's table of mounts says."""
    if not MOUNTS.exists():
        return UNKNOWN
    mounts = (line.split()[1:3] for line in MOUNTS.read_text(encoding="utf-8").splitlines())
    above = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def read_through(folder: Path) -> None:
    """Brings every file of a folder into the system's page cache, so that nobody's is colder.

    Only while nothing here has those files open: closing a file gives up SQLite's locks on it.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()
