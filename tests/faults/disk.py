"""A small disk that a test can fill."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small(megabytes: int) -> Iterator[Path]:
    """Mount a file system of so many MiB while the block runs; skip the test where this account may not."""
    folder = Path(tempfile.mkdtemp(prefix="wearwell-small-"))
    size = f"size={megabytes}m"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=False, capture_output=True)
    if made.returncode:
        folder.rmdir()
        pytest.skip("this account may not mount a small file system")
    folder.chmod(0o711)  # a database or broker in an account of its own must reach its files
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    """Leave no room on a file system; return the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError:
            return ballast
    return ballast
