"""Errors that a user can act on."""

import errno

# What the system refuses, and what a user can do about it; other errors of the system are faults of the program.
_REMEDIES = {
    errno.EACCES: "rights to read or to write it. Mend its rights, or those of a folder above it",
    errno.EPERM: "rights to change it. Mend its rights, or choose another place",
    errno.EROFS: "a disk that can be written to. Choose another place",
    errno.ENOSPC: "room on the disk. Free some space, then rerun to resume",
    errno.EDQUOT: "room in your quota. Free some space, then rerun to resume",
    errno.ELOOP: "a file. It is a link that leads back to itself: take it away",
    errno.ENAMETOOLONG: "a shorter name. Rename it",
    errno.EIO: "a disk that can be read. Copy the file anew, and look after the disk",
    errno.EMFILE: "fewer open files. Raise the limit: ulimit -n 4096",
}


class UserError(Exception):
    """Something in the user's files, parameters or machine needs mending.

    The message is shown as it is, without a traceback, and the command ends with exit code 2. It names the file,
    what was found, what was expected, and how to mend it.
    """


def refusal(error: OSError) -> str | None:
    """What to tell the user of an error of the system that names a file; None if it is nothing that a user can mend."""
    if error.filename is None or error.errno not in _REMEDIES:
        return None
    return f"{error.filename}: {error.strerror}; expected {_REMEDIES[error.errno]}"
