"""Files that share their blocks until one of them is changed, where the file system can do that.

So a large artifact comes out of the store in no time and takes no second place on the disk, and
yet what is done to the one file never shows in the other. That is why hard links are not used for
what stages produce: through one of them a script that opens its old output for writing would change
the store. For data that is pinned, see `link`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

FICLONE = 0x40049409  # of linux/fs.h
LEAST = 64 * 1024
"""Smaller files are copied as quickly."""
_NEVER = {
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EPERM,
    errno.EACCES, errno.EBADF,
}  # fmt: skip


def clone(source: int, target: int) -> bool:
    """Make an empty file share the blocks of another one (both descriptors); False if it can't.

    Raises `OSError` where it could, but the disk is full or broken.
    """
    if os.fstat(source).st_dev != os.fstat(target).st_dev:
        return False
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _NEVER:
            return False
        raise
    return True


def can_clone(source: Path, target: Path) -> bool:
    """Whether files of one folder can share their blocks with files of another one, by trying."""
    from tempfile import TemporaryFile  # takes long, and most calls need none

    try:
        with TemporaryFile(dir=source) as one, TemporaryFile(dir=target) as other:
            one.write(bytes(LEAST))
            one.flush()
            return clone(one.fileno(), other.fileno())
    except OSError:
        return False
