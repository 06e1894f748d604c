"""The one exception that means "the user can mend this", and the one place where secrets are taken out of a text.

Everything else that escapes is our fault. A command line prints a `UserError` without a traceback
and ends with exit code 2.
"""

import re

# A password may hold anything up to the last @ of its word, as SQLAlchemy reads it: `me:pa/ss?#@host`.
LOGIN = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*)://(?P<user>[^:/@\s]*)(?P<password>:\S*)?@")
NAMED = re.compile(r"([?&;][^=&\s]*(?:password|passwd|pwd|secret|token|key)[^=&\s]*=)[^&#\s]*", re.IGNORECASE)


class UserError(Exception):
    """A mistake of the user's: its text says what was found, what was expected and what to do.

    It often repeats what the user typed, so passwords in it are blotted out.
    """

    def __init__(self, text: str) -> None:
        super().__init__(redact(text))


def redact(text: str) -> str:
    """The text with `***` for the password of every URL in it, and for query values that are named like a secret.

    A user without a password in an `http` URL is hidden too: it is how access tokens are written.
    """
    return NAMED.sub(r"\1***", LOGIN.sub(_without_password, text))


def _without_password(found: re.Match[str]) -> str:
    user = "***" if found["scheme"].startswith("http") and not found["password"] else found["user"]
    return f"{found['scheme']}://{user}{':***' if found['password'] else ''}@"
