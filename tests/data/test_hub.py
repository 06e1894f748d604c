import datasets
import pytest

from sweeper.data import sources
from sweeper.data.settings import DataSettings
from sweeper.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


@pytest.fixture
def loads(monkeypatch):
    """Replaces `load_dataset` by a data set or an error."""

    def replace(answer):
        def load(path, name=None, *, split=None, revision=None):
            if isinstance(answer, Exception):
                raise answer
            return answer[split] if split else answer

        monkeypatch.setattr(datasets, "load_dataset", load)

    return replace


def reviews(stars):
    features = datasets.Features(
        {"label": datasets.ClassLabel(names=["1 star", "2 star"]), "text": datasets.Value("string")}
    )
    return datasets.Dataset.from_dict(
        {"label": stars, "text": [f"review {i}" for i in range(len(stars))]}, features=features
    )


def test_a_local_data_set_is_loaded_by_the_real_library(write, tmp_path, read_rows):
    write("set/train.csv", "text,label\n가,1\n나,0\n")
    write("set/test.csv", "text,label\n다,1\n")
    assert read_rows(source="hub", path=str(tmp_path / "set")) == [("가", "1"), ("나", "0"), ("다", "1")]


def test_class_numbers_are_given_by_name_and_no_class_is_missing(loads, read_rows):
    loads(datasets.DatasetDict(train=reviews([1, 0, -1])))
    assert read_rows(source="hub", path="x/y") == [("review 0", "2 star"), ("review 1", "1 star"), ("review 2", None)]


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        (["train", "test"], {}, {"train": ("train",), "test": ("test",)}),
        (["train"], {}, {"all": ("train",)}),
        (["everything"], {}, {"all": ("everything",)}),
        (["train", "unlabelled"], {"train": "train"}, {"all": ("train",)}),
        (["a", "b"], {"train": "a", "validation": "b"}, {"train": ("a",), "validation": ("b",)}),
    ],
)
def test_splits_are_those_asked_for_or_those_there(loads, there, asked, expected):
    loads(datasets.DatasetDict({name: reviews([0]) for name in there}))
    settings = DataSettings.of({"source": "hub", "path": "x/y", **asked})
    assert {part.name: part.places for part in sources.plan(settings)} == expected


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Couldn't reach 'x/y' on the Hub"), "hub cannot be reached"),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'x/y' doesn't exist"), "no such data set"),
        (ValueError("BuilderConfig 'z' not found. Available: ['a']"), "Available"),
        (RuntimeError("Dataset scripts are no longer supported"), "scripts"),
    ],
)
def test_what_the_hub_does_not_give_is_told_with_the_way_out(loads, read_rows, error, message):
    loads(error)
    with pytest.raises(
        UserError, match=rf"data\.path=x/y.*{message}.*data\.source=table data\.path='FOLDER/\*\.parquet'"
    ):
        read_rows(source="hub", path="x/y", train="train")


def test_a_proxy_that_refuses_is_told_like_an_unreachable_hub(refusing_proxy, read_rows):
    with pytest.raises(UserError, match=r"data\.path=owner/name: the hub cannot be reached .*data\.source=table"):
        read_rows(source="hub", path="owner/name", train="train")


def test_an_unknown_column_lists_those_there(loads, read_rows):
    loads(datasets.DatasetDict(train=reviews([0])))
    with pytest.raises(UserError, match=r"x/y\[train\]: there is no column 'stars'.*'label', 'text'"):
        read_rows(source="hub", path="x/y", label="stars")


def test_a_hub_needs_a_path_and_a_split_to_train_on():
    with pytest.raises(UserError, match=r"data\.path is not set"):
        sources.plan(DataSettings(source="hub"))
    with pytest.raises(UserError, match=r"data\.train is not set"):
        sources.plan(DataSettings(source="hub", path="x/y", test="test"))
