"""The folder under which database, broker files and logs live."""

import errno
import os
import shutil
from pathlib import Path

from gateway.errors import ConfigurationError


def make(path: Path) -> Path:
    """Make the folder where it is missing and return its whole path.

    Raises ConfigurationError when it cannot be made, or cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigurationError(
            f"WEARWELL_DATA_DIR: {path} is no folder that can be made and written ({error.strerror})."
            " See docs/operating.md, Settings."
        ) from None
    return path.resolve()


def room(path: Path) -> tuple[Path, int]:
    """Return the folder, or of its parents the nearest that exists, and how many bytes are free there."""
    folder = path.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder, shutil.disk_usage(folder).free
