"""The one exception that means "the user can mend this".

Everything else that escapes is our fault. A command line prints a `UserError` without a traceback
and ends with exit code 2.
"""


class UserError(Exception):
    """A mistake of the user's: its text says what was found, what was expected and what to do."""
