"""Which file system a directory lies on, as /proc/self/mountinfo tells it.

SQLite's write-ahead log is shared memory between processes, and its locks are the kernel's: on a file system that
other machines write to, neither holds.
"""

import os
import re
from pathlib import Path

_KERNEL = ("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "ncpfs", "davfs")
_CLUSTER = ("lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "glusterfs", "orangefs")
_USER = ("sshfs", "glusterfs", "ceph-fuse", "s3fs", "gcsfuse", "rclone", "davfs2")
REMOTE = frozenset((*_KERNEL, *_CLUSTER, *(f"fuse.{name}" for name in _USER)))
_MOUNTINFO = Path("/proc/self/mountinfo")


def remote(directory: Path) -> str | None:
    """The type of the network file system that holds `directory`, or None: local, or a system without mountinfo."""
    try:
        kind = type_of(os.path.realpath(directory), _MOUNTINFO.read_text(errors="surrogateescape"))
    except OSError:
        return None
    return kind if kind in REMOTE else None


def type_of(path: str, mountinfo: str) -> str | None:
    """Type of the mount that `path` lies on: the longest mount point above it, the last one where two are equal.

    Format: proc_pid_mountinfo(5); the mount point is field 5, the type is the first field behind the lone dash.
    """
    best, kind = -1, None
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        if _above(point, path) and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind


def _above(point: str, path: str) -> bool:
    return point == "/" or path == point or path.startswith(point + "/")


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
