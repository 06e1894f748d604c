import pytest

from sweeper.data.settings import DataSettings, RowSettings, SplitSettings
from sweeper.errors import UserError


def test_plain_nested_values_become_settings_and_come_back():
    mapping = {"path": "a.csv", "split": {"seed": 7}, "rows": {"train": 10}, "labels": [0, 1]}
    settings = DataSettings.of(mapping)
    assert settings.split == SplitSettings(seed=7)
    assert settings.rows == RowSettings(train=10)
    assert settings.labels == ("0", "1")
    assert DataSettings.of(settings.plain) == settings


def test_column_numbers_may_be_given_as_numbers():
    settings = DataSettings.of({"text": 0, "label": 2})
    assert (settings.text, settings.label) == ("0", "2")


@pytest.mark.parametrize(("mapping", "where"), [({"txt": 1}, "data"), ({"split": {"sed": 1}}, "data.split")])
def test_unknown_key_is_refused_with_the_known_ones(mapping, where):
    with pytest.raises(UserError, match=f"{where}: there is no key .*(text|seed)"):
        DataSettings.of(mapping)
