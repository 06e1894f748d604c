"""No password reaches a text that is shown."""

import pickle

import pytest

from sweeper.config import compose
from sweeper.errors import UserError, redact
from sweeper.tracked import checked_uri


def test_passwords_leave_every_url_of_a_text():
    text = redact("request to https://me:p%40ss@host/api failed, and postgresql://a:b/c?d@e/f?user=x&password=y too")
    assert text == "request to https://me:***@host/api failed, and postgresql://a:***@e/f?user=x&password=*** too"


def test_a_text_without_secrets_stays():
    text = "data.path=a@b.csv: see http://host:5000/path, sqlite:///runs/x.db and me@example.org"
    assert redact(text) == text


@pytest.mark.parametrize(
    "override",
    [
        "--storage=postgresql://me:hunter2@host/db",
        "postgresql://me:hunter2@host/db",
        "storag=postgresql://me:hunter2@host/db",
        "tracking.uri=nonsense://me:hunter2@host",
        "train.epochs=https://hunter2@host",
    ],
)
def test_a_mistyped_setting_is_not_repeated_with_its_password(override):
    with pytest.raises(UserError) as refused:
        checked_uri(compose([override]).tracking.uri)
    assert "hunter2" not in str(refused.value)


def test_an_error_crosses_processes():
    assert str(pickle.loads(pickle.dumps(UserError("a://b:c@d")))) == "a://b:***@d"
