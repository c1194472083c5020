"""Write files and folders completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from batchflow.errors import ExportError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to, and rename it to `path` at the end.

    After an error or an interruption, the temporary path is removed, and `path` is as before.

    Raises:
        ExportError: The operating system refuses to write.
    """
    temporary = _beside(path, "part")
    try:
        yield temporary
        _rename(temporary, path)
    except OSError as error:
        raise ExportError(
            f"{str(path)!r} can't be written: {error.strerror}. {_remedy(path)}"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(temporary)


def _remedy(path: Path) -> str:
    if not path.parent.is_dir():
        return f"Create the folder {str(path.parent)!r}, or give another path."
    return "Make the folder writable and free space in it, or give another path."


def _rename(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(temporary, path)
        return
    # The operating system replaces only an empty folder.
    before = _beside(path, "before")
    os.replace(path, before)
    os.replace(temporary, path)
    _remove(before)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{suffix}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
