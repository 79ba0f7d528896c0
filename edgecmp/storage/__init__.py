"""Files and folders on disk: written in whole, locked, resumed and removed."""

from edgecmp.storage.checking import check_writable, check_writable_folder, disk_errors
from edgecmp.storage.locking import folder_lock
from edgecmp.storage.writing import (
    replacing_folder,
    temporary_folder,
    write_atomic,
    write_folder,
)

__all__ = [
    "check_writable",
    "check_writable_folder",
    "disk_errors",
    "folder_lock",
    "replacing_folder",
    "temporary_folder",
    "write_atomic",
    "write_folder",
]
