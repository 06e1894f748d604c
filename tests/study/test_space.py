import copy
import json

import pytest
from records import CONFIG

from sweeper.errors import UserError
from sweeper.study.space import (
    PLACES,
    configuration_key,
    grid,
    identity,
    model_fingerprint,
    ranges_of,
    seeds_of,
    trial_key,
    with_values,
)


def whole(config, data="d", model="m", precision="float32"):
    return identity(config, data=data, model=model, precision=precision)


def changed(section, key, value):
    config = copy.deepcopy(CONFIG)
    config[section][key] = value
    return config


def test_grid_is_the_full_product_without_repeats():
    points = grid([1e-3, 1e-4], [16, 32, 64])
    assert len({(p["lr"], p["batch_size"]) for p in points}) == len(points) == 6


def test_a_configuration_has_all_its_seeds_before_the_next_is_begun():
    points = grid([1e-3, 1e-4], [16], [7, 0])
    assert [(point["lr"], point["seed"]) for point in points] == [(1e-3, 7), (1e-3, 0), (1e-4, 7), (1e-4, 0)]
    assert "seed" not in grid([1e-3], [16])[0]


@pytest.mark.parametrize(("asked", "seeds"), [(None, None), (3, [5, 6, 7]), ([2, 0], [2, 0]), (1, [5])])
def test_a_number_of_seeds_begins_with_the_training_seed(asked, seeds):
    assert seeds_of({"train": {"seed": 5}, "study": {"seeds": asked}}) == seeds
    assert seeds_of({"train": {"seed": 5}, "study": {}}) is None  # of a study that was listed before there were seeds


def test_which_seeds_does_not_make_another_study_but_several_do():
    several = configuration_key(whole(CONFIG), seeds=True)
    assert several == configuration_key(whole(changed("train", "seed", 1)), seeds=True)
    assert several != configuration_key(whole(CONFIG))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("optimizer", "lr", 1e-4),
        ("train", "seed", 1),
        ("train", "epochs", 4),
        ("overfitting", "patience", 2),
        ("data", "max_length", 64),
        ("head", "dropout", 0.3),
        ("schedule", "warmup", 10),
    ],
)
def test_key_changes_with_what_changes_the_result(section, key, value):
    assert trial_key(whole(changed(section, key, value))) != trial_key(whole(CONFIG))


def test_key_changes_with_data_model_and_precision():
    keys = {
        trial_key(whole(CONFIG)),
        trial_key(whole(CONFIG, data="e")),
        trial_key(whole(CONFIG, model="n")),
        trial_key(whole(CONFIG, precision="bf16")),
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "device", "cuda"),
        ("train", "keep_weights", "all"),
        ("train", "cuda_graphs", True),
        ("data", "path", "b.csv"),
        ("study", "name", "grid"),
    ],
)
def test_key_does_not_change_with_where_and_how_it_runs(section, key, value):
    assert trial_key(whole(changed(section, key, value))) == trial_key(whole(CONFIG))


def test_configuration_key_is_shared_by_all_points_of_a_study():
    points = [with_values(CONFIG, varied) for varied in grid([1e-3, 1e-4], [16, 64])]
    assert len({configuration_key(whole(point)) for point in points}) == 1
    assert len({trial_key(whole(point)) for point in points}) == 4
    assert configuration_key(whole(changed("train", "seed", 1))) != configuration_key(whole(CONFIG))


def test_a_fine_tuned_classifier_is_not_the_model_of_trials_that_took_over_its_head(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"one")
    for architecture, marked in (("BertModel", False), ("BertForSequenceClassification", True)):
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
        assert model_fingerprint(str(tmp_path)).endswith("+fresh-head") == marked


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"model=someone/nothing.*hub"):
        model_fingerprint("someone/nothing")


def test_no_warm_up_is_one_trial_whether_a_grid_or_a_range_has_it():
    keys = {trial_key(whole(changed("schedule", "warmup", warmup))) for warmup in (0, 0.0)}
    assert keys == {trial_key(whole(CONFIG))}


def test_what_a_search_varies_is_put_where_the_configuration_has_it():
    varied = {"lr": 1e-4, "batch_size": 8, "warmup": 0.1, "weight_decay": 0.01, "dropout": 0.2}
    config = with_values(CONFIG, {**varied, "schedule": "linear", "seed": 3})
    found = {name: config[section][key] for name, (section, key) in PLACES.items()}
    assert found == {**varied, "schedule": "linear", "seed": 3}
    assert with_values(CONFIG, {"lr": 1e-4, "batch_size": 8})["head"] == CONFIG["head"]
    searched = {**CONFIG, "study": {"name": "search", "lr": [1e-6, 1], "seed": [0, 1], "budget": {"trials": 20}}}
    single = {"name": "single", "lr": None, "seed": None, "budget": {"trials": None}}
    assert with_values(searched, varied)["study"] == single


def test_a_search_has_the_ranges_that_are_named_and_the_one_value_of_rate_and_size():
    assert ranges_of(CONFIG) == {"lr": [1e-3], "batch_size": [64]}
    named = {**CONFIG, "study": {"name": "search", "lr": (1e-5, 1e-3), "batch_size": None, "dropout": (0.0, 0.3)}}
    assert ranges_of(named) == {"lr": [1e-5, 1e-3], "batch_size": [64], "dropout": [0.0, 0.3]}


def test_a_search_with_other_ranges_is_another_search():
    ranges = {"lr": [1e-5, 1e-3], "batch_size": [64], "seed": [0, 1]}
    key = configuration_key(whole(CONFIG), ranges)
    assert key != configuration_key(whole(CONFIG), {**ranges, "lr": [1e-6, 1e-3]})
    assert key == configuration_key(whole(changed("train", "seed", 1)), ranges)  # the seed varies
    assert key != configuration_key(whole(changed("train", "epochs", 1)), ranges)


def test_model_fingerprint_follows_the_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = model_fingerprint(str(tmp_path))
    assert model_fingerprint(str(tmp_path)) == before
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert model_fingerprint(str(tmp_path)) != before
