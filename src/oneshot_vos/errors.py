"""Errors that a user can act on."""


class UserError(Exception):
    """Something in the user's files, parameters or machine needs mending.

    The message is shown as it is, without a traceback, and the command ends with exit code 2. It names the file,
    what was found, what was expected, and how to mend it.
    """
