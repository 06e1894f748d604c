"""The configuration: every experiment and study composes, every slip is refused in the user's words."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.config import Config, compose, compose_studies, from_plain, help_text, options, plain, redact_url
from sweeper.errors import UserError
from sweeper.schema import KEYS

REPO = Path(__file__).parent.parent
EXPERIMENTS = options("experiment")
STUDIES = options("study")
OWN_DATA = ("data=table", "data.path=my.csv", "data.text=sentence", "data.label=emotion", "model=klue/bert-base")


def refusal(*overrides: str) -> str:
    with pytest.raises(UserError) as error:
        compose(overrides)
    return str(error.value)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_with_every_study(experiment: str, study: str) -> None:
    config = compose([f"experiment={experiment}", f"study={study}"])
    assert (config.experiment, config.study.name, config.name) == (experiment, study, experiment)


@pytest.mark.parametrize(
    ("overrides", "key", "got", "takes"),
    [
        (["lr=2e-5"], "lr", "no such key", "did you mean optimizer.lr"),
        (["train.epoch=3"], "train.epoch", "no such key", "did you mean train.epochs"),
        (["data.txt=x"], "data.txt", "no such key", "data.text"),
        (["hydra.run.dir=x"], "hydra.run.dir", "no such key", ""),
        (["train={epochs: 3}"], "train", "no value of its own", "train.epochs"),
        (["train.epochs=three"], "train.epochs", "got three", "a whole number 1 or more"),
        (["train.epochs=2.5"], "train.epochs", "got 2.5", "a whole number"),
        (["train.epochs=true"], "train.epochs", "got true", "a whole number"),
        (["train.epochs="], "train.epochs", "got nothing", "a whole number"),
        (["train.epochs=0"], "train.epochs", "got 0", "1 or more"),
        (["train.batch_size=0"], "train.batch_size", "got 0", "1 or more"),
        (["train.seed=-1"], "train.seed", "got -1", "from 0 to 4294967295"),
        (["train.clip_norm=0"], "train.clip_norm", "got 0", "above 0, or null"),
        (["optimizer.lr=0"], "optimizer.lr", "got 0", "a number above 0"),
        (["optimizer.lr=-1e-5"], "optimizer.lr", "got -1e-05", "a number above 0"),
        (["optimizer.lr=nan"], "optimizer.lr", "got nan", "a number above 0"),
        (["optimizer.lr=inf"], "optimizer.lr", "got inf", "a number above 0"),
        (["optimizer.lr=감정"], "optimizer.lr", "got 감정", "a number above 0"),
        (["study.lr=[1e-3,0]"], "study.lr", "got [0.001, 0]", "a list [a, b, ...] of a number above 0"),
        (["study.lr=[]"], "study.lr", "got []", "one or more"),
        (["study.lr=[1e-3,0.001]"], "study.lr", "got [0.001, 0.001]", "no two the same"),
        (["study.lr=1e-3,1e-4"], "study.lr", "got 1e-3,1e-4", "a list [a, b, ...]"),
        (["study.lr=1e-3"], "study.lr", "got 0.001", "a list [a, b, ...]"),
        (["study.batch_size=[16,0]"], "study.batch_size", "got [16, 0]", "1 or more"),
        (["study.batch_size=[16,16]"], "study.batch_size", "got [16, 16]", "no two the same"),
        (["study.batch_size=[]"], "study.batch_size", "got []", "one or more"),
        (["data.labels=[]"], "data.labels", "got []", "one or more"),
        (["data.labels=[a,a]"], "data.labels", "got [a, a]", "no two the same"),
        (["data.split.train=1.2"], "data.split.train", "got 1.2", "from 0 to 1"),
        (["data.split.test=-0.1"], "data.split.test", "got -0.1", "from 0 to 1"),
        (["data.split.train=0.5"], "data.split", "= 0.9", "the sum 1"),
        (["data.split.train=0", "data.split.test=0.8"], "data.split.train", "got 0", "above 0"),
        (["data.split.validation=0", "data.split.train=0.8"], "data.split.validation", "got 0", "above 0"),
        (["data.rows.train=0"], "data.rows.train", "got 0", "1 or more, or null"),
        (["data.max_length=2"], "data.max_length", "got 2", "3 or more"),
        (["data.delimiter=ab"], "data.delimiter", "got ab", "auto or one character"),
        (["data.path="], "data.path", "got nothing", "not empty"),
        (["data=table"], "data.path", "got null", "a file or a glob"),
        (["data.path=a.csv", "data.train=b.csv"], "data.train", "got b.csv beside data.path=a.csv", "takes null"),
        (["experiment=kor_hate", "data.path=a", "data.test=b"], "data.test", "got b beside", "takes null"),
        (["head.dropout=1.5"], "head.dropout", "got 1.5", "from 0 to below 1"),
        (["head.dropout=-0.1"], "head.dropout", "got -0.1", "from 0 to below 1"),
        (["optimizer.name=adamm"], "optimizer.name", "got adamm", "adam, adamw, sgd; did you mean adam"),
        (["optimizer=adamm"], "optimizer", "got adamm", "adam, adamw, sgd; did you mean adam"),
        (["optimizer.momentum=1"], "optimizer.momentum", "got 1", "below 1"),
        (["launcher.workers=-1"], "launcher.workers", "got -1", "auto, or a whole number 1 or more"),
        (["launcher.threads=0"], "launcher.threads", "got 0", "auto, or a whole number 1 or more"),
        (["schedule.warmup=-1"], "schedule.warmup", "got -1", "0 or more"),
        (["schedule.warmup=1.5"], "schedule.warmup", "got 1.5", "from 0 to below 1"),
        (["schedule.warmup=1.0"], "schedule.warmup", "got 1.0", "a whole number 0 or more"),
        (["train.accumulate=3"], "train.accumulate", "got 3", "divisor of train.batch_size, which is [64]"),
        (["train.accumulate=32", "study=batch"], "train.accumulate", "got 32", "study.batch_size, which is [16]"),
        (["study=single", "optimizer.lr=null"], "optimizer.lr", "got null", "a number above 0"),
        (["data.task=regression", "train.loss=bce"], "train.loss", "got bce", "auto or mse"),
        (["train.loss=mse"], "train.loss", "got mse", "cross_entropy"),
        (["overfitting.patience=0"], "overfitting.patience", "got 0", "1 or more"),
        (["study=single", "data.task=regression"], "train.early_stop.monitor", "got val_accuracy", "val_loss or null"),
        (["data.split.stratify=true", "data.split.group=dialogue"], "data.split.stratify", "group=dialogue", "false"),
        (["data.split.stratify=true", "data.task=regression"], "data.split.stratify", "got true", "takes false"),
        (["experiment=korhate"], "experiment", "got korhate", "kor_sarcasm"),
        (["study=lrr"], "study", "got lrr", "batch, grid, lr, search, single; did you mean lr?"),
        (
            ["study=search", "study.lr=[1e-5]"],
            "study.lr",
            "got [1e-05]",
            "two ends of a range, the smaller first, or three values or more",
        ),
        (["study=search", "study.lr=[1e-3,1e-5]"], "study.lr", "got [0.001, 1e-05]", "the smaller first"),
        (["study=search", "study.warmup=[0.2,0.1]"], "study.warmup", "got [0.2, 0.1]", "the smaller first"),
        (["study=search", "study.warmup=[0,1]"], "study.warmup", "got [0, 1]", "from 0 to below 1"),
        (["study=search", "study.warmup=0.1"], "study.warmup", "got 0.1", "a list [a, b, ...]"),
        (["study=search", "study.weight_decay=[-1,0]"], "study.weight_decay", "got [-1, 0]", "0 or more"),
        (["study=search", "study.dropout=[0,0.1,0.1]"], "study.dropout", "got [0, 0.1, 0.1]", "three values or more"),
        (["study=search", "study.dropout=[0.3]"], "study.dropout", "got [0.3]", "two ends of a range"),
        (["study=search", "study.schedule=[cosine]"], "study.schedule", "got [cosine]", "constant, linear"),
        (["study=search", "study.seed=[1,1]"], "study.seed", "got [1, 1]", "no two the same"),
        (["study=search", "study.sampler=tpee"], "study.sampler", "got tpee", "did you mean tpe"),
        (["prune=median", "prune.first_epoch=10"], "prune.first_epoch", "got 10", "takes 1 to 9 (before train.epochs)"),
        (["prune=hyperband", "prune.first_epoch=9", "train.epochs=2"], "prune.first_epoch", "got 9", "takes 1 to 1"),
        (["study=search", "study.sampler_seed=-1"], "study.sampler_seed", "got -1", "from 0"),
        (["study=search", "study.budget=5"], "study.budget", "no value of its own", "study.budget.trials"),
        (["study=search", "study.budget.trials=0"], "study.budget.trials", "got 0", "1 or more"),
        (["study=search", "study.budget.minutes=0"], "study.budget.minutes", "got 0", "above 0"),
        (["study=search", "study.budget.trials=null"], "study.budget", "got null", "trials, .minutes and .epochs"),
        (["study=search", "study.budget.epochs=9"], "study.budget.epochs", "got 9", "takes 10 (train.epochs"),
        (["study=search", "study.lr=null", "study.budget.trials=5"], "study.budget.trials", "got 5", "at most 4"),
        (
            ["study=search", "study.lr=[1e-5,1e-4,1e-3]", "study.budget.trials=13"],
            "study.budget.trials",
            "got 13",
            "at most 12: the choices hold no more points, and study=grid",
        ),
        (["study=search", "train.accumulate=32"], "train.accumulate", "got 32", "study.batch_size, which is [16]"),
        (["study.seeds=0"], "study.seeds", "got 0", "a whole number 1 or more"),
        (["study.seeds=[]"], "study.seeds", "got []", "one or more"),
        (["study.seeds=[1,1]"], "study.seeds", "got [1, 1]", "no two the same"),
        (["study.seeds=[-1]"], "study.seeds", "got [-1]", "from 0 to"),
        (["study.seeds=1.5"], "study.seeds", "got 1.5", "a whole number"),
        (
            ["study.seeds=3", "train.seed=4294967294"],
            "study.seeds",
            "from train.seed=4294967294 on",
            "up to 4294967295",
        ),
        (["study=search", "study.seeds=3"], "study.seeds", "got 3", "Search first, then train the best points"),
        (["study=lr", "study.seed=[0,1]"], "study.seed", "got [0, 1]", "study.seeds trains each"),
        (["study=grid", "study.warmup=[0,0.1]"], "study.warmup", "got [0.0, 0.1]", "study=search takes it"),
        (["study=grid", "study.sampler=gp"], "study.sampler", "got gp", "study=search takes it"),
        (["study=search", "study.sampler=null"], "study.sampler", "got null", "tpe, gp, random or qmc"),
        (["study=search", "study.sampler_seed=null"], "study.sampler_seed", "got null", "a whole number"),
        (["study.budget.minutes=30"], "study.budget.minutes", "got 30", "null in study=lr"),
        (["data=csv"], "data", "got csv", "folder, hub, table, workbook"),
        (["tracking.name=wandb"], "tracking.name", "got wandb", "mlflow, none"),
        (["name=a/b"], "name", "got a/b", "letters, digits"),
        (["name=.hidden"], "name", "got .hidden", "letters, digits"),
        (["name=.."], "name", "got ..", "letters, digits"),
        (["name=" + "x" * 81], "name", "got xxx", "at most 80"),
        (["name="], "name", "got nothing", "letters, digits"),
        (["name=cache"], "name", "got cache", "none of cache"),
    ],
)
def test_a_slip_is_refused_with_key_value_and_what_it_takes(
    overrides: list[str], key: str, got: str, takes: str
) -> None:
    message = refusal(*overrides)
    assert message.startswith(f"{key}: ")
    assert got in message
    assert takes in message
    assert not {"omegaconf", "hydra ", "struct", "traceback", "full_key"} & set(message.lower().split())


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("lr 2e-5", "optimizer.lr=2e-5"),
        ("--lr=2e-5", "optimizer.lr=2e-5"),
        ("--train.epochs=3", "train.epochs=3"),
        ("+train.epochs=3", "train.epochs=3"),
        ("train.epochs = 3", "train.epochs=3"),
        ("epochs: 3", "train.epochs=3"),
    ],
)
def test_a_slip_of_syntax_is_answered_with_what_was_meant(text: str, meant: str) -> None:
    assert f"did you mean {meant}" in refusal(text)


@pytest.mark.parametrize("given", [("train.early_stop.monitor=val_loss", "study=single"), ("study=lr",)])
def test_a_regression_may_stop_early_by_its_loss(given: tuple[str, ...]) -> None:
    assert compose(["data.task=regression", *given]).train.early_stop.monitor in ("val_loss", None)


def test_several_wrong_values_are_told_at_once() -> None:
    message = refusal("train.epochs=0", "head.dropout=2")
    assert [line.partition(":")[0] for line in message.splitlines()] == ["head.dropout", "train.epochs"]


def test_a_refusal_does_not_show_a_password() -> None:
    assert "hunter2" not in refusal("storage=postgresql://me:hunter2@host/db?${missing}")


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("data.text=문장", "data", "text", "문장"),
        ("data.text=0", "data", "text", "0"),
        ("data.text=it's", "data", "text", "it's"),
        ("data.text='a b'", "data", "text", "a b"),
        ("data.revision=12e5", "data", "revision", "12e5"),
        ("data.path=a, b/감정 (1).csv", "data", "path", "a, b/감정 (1).csv"),
        ("data.path=C:\\data\\", "data", "path", "C:\\data\\"),
        ("data.delimiter=\\t", "data", "delimiter", "\t"),
        ("data.delimiter=,", "data", "delimiter", ","),
        ("data.labels=[0,부정,none, true]", "data", "labels", ("0", "부정", "none", "true")),
        ('data.labels=["a, b",c]', "data", "labels", ("a, b", "c")),
        ("data.path=null data", "data", "path", "null data"),
        ("tracking.uri=https://host:5000/a?b=c&d#e", "tracking", "uri", "https://host:5000/a?b=c&d#e"),
        ("schedule.warmup=0.1", "schedule", "warmup", 0.1),
        ("schedule.warmup=500", "schedule", "warmup", 500),
        ("launcher.workers=2", "launcher", "workers", 2),
        ("optimizer.lr=1", "optimizer", "lr", 1.0),
    ],
)
def test_text_is_taken_as_it_stands_and_numbers_keep_their_type(
    override: str, section: str, key: str, value: object
) -> None:
    found = getattr(getattr(compose([override]), section), key)
    assert found == value
    assert type(found) is type(value)


def test_own_data_replaces_all_of_the_experiments_data_and_nothing_else() -> None:
    config = compose([*OWN_DATA, "experiment=kor_hate"])
    fresh = compose(OWN_DATA)
    assert config.data == fresh.data
    assert (config.data.train, config.data.test, config.data.labels) == (None, None, None)
    assert (config.data.path, config.data.text, config.data.label) == ("my.csv", "sentence", "emotion")
    assert (config.optimizer.name, config.schedule.name, config.model) == ("adamw", "linear", "klue/bert-base")


def test_another_place_keeps_the_experiments_columns() -> None:
    given = compose(["experiment=kor_hate", "data.train=/x/train.tsv", "data.test=/x/dev.tsv"]).data
    assert (given.train, given.test, given.text) == ("/x/train.tsv", "/x/dev.tsv", "comments")
    one = compose(["experiment=kor_hate", "data.path=/x/all.tsv"]).data
    assert (one.path, one.train, one.test, one.label) == ("/x/all.tsv", None, None, "hate")
    assert min(one.split.train, one.split.validation, one.split.test) > 0
    files = compose(["experiment=nsmc", "data.source=table", "data.train=a.txt", "data.test=b.txt"]).data
    assert (files.path, files.train, files.test, files.rows.train) == (None, "a.txt", "b.txt", 10_000)


def test_the_group_on_the_command_line_wins_and_keeps_the_experiments_values() -> None:
    config = compose(["experiment=yelp_full", "optimizer=sgd", "study=single"])
    assert (config.optimizer.name, config.optimizer.lr, config.train.epochs) == ("sgd", 5e-5, 3)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "emotion58_sample"),
        (("data.label=감정_소분류",), "emotion58_sample"),
        (("data=table", "data.path=my data (v2).csv"), "my-data-v2"),
        (("data.path=/x/감정.xlsx",), "감정"),
        (("data=table", "data.train=/x/first.csv"), "first"),
        (("data.path=/x/emotions/*.xlsx",), "emotions"),
        (("data=hub", "data.path=owner/set.v1"), "set.v1"),
        (("data.path=../..",), "data"),
        (("data.path=" + "x" * 200 + ".csv",), "x" * 80),
        (("experiment=kor_hate", "data.path=my.csv"), "kor_hate"),
        (("data.path=my.csv", "name=mine"), "mine"),
        (("data.path=cache.csv",), "cache-data"),
    ],
)
def test_the_name_is_the_users_the_data_files_or_the_experiments(overrides: tuple[str, ...], name: str) -> None:
    assert compose(overrides).name == name


def test_studies_train_ten_epochs_without_early_stopping_and_single_as_the_experiment_says() -> None:
    for study in ("lr", "batch", "grid", "search"):
        train = compose(["experiment=imdb", f"study={study}"]).train
        assert (train.epochs, train.early_stop.monitor) == (10, None)
    single = compose(["experiment=emotion58", "study=single"])
    assert single.train.early_stop.monitor == "val_accuracy"
    assert (single.study.lr, single.study.batch_size) == (None, None)


def test_the_studies_try_what_document_1_tried() -> None:
    tried = published("emotion58")
    lr, batch = compose(["study=lr"]), compose(["study=batch"])
    assert lr.study.lr == tuple(row["lr"] for row in tried["lr_study"])
    assert {row["batch_size"] for row in tried["lr_study"]} == {lr.train.batch_size}
    assert batch.study.batch_size == tuple(row["batch_size"] for row in tried["batch_study"])
    assert batch.optimizer.lr is None
    assert compose(["study=batch", "optimizer.lr=2e-5"]).optimizer.lr == 2e-5
    grid = compose(["study=grid"]).study
    assert (grid.lr, grid.batch_size) == (lr.study.lr, batch.study.batch_size)


def published(experiment: str) -> dict[str, Any]:
    text = (REPO / "experiments" / experiment / "published.yaml").read_text(encoding="utf-8")
    facts: dict[str, Any] = yaml.safe_load(text)
    return facts


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_trains_as_its_document_states(experiment: str) -> None:
    config, stated = compose([f"experiment={experiment}", "study=single"]), published(experiment)["training"]
    expected: dict[str, object] = {}
    for fact, value in stated.items():
        if fact in FACTS:
            expected[fact] = FACTS[fact](config)
            allowed = value if fact == "optimizer" and isinstance(value, list) else [value]
            assert expected[fact] in [tuple(one.items()) if isinstance(one, dict) else one for one in allowed], fact
    assert set(stated) - set(FACTS) <= {
        "devices",
        "batch_size",
        "schedule",
        "eval_batch_size",
        "log_every_steps",
        "loss",
    }
    assert config.train.batch_size == stated.get("batch_size", 64) * stated.get("devices", 1)
    assert config.schedule.name == ("constant" if stated.get("schedule") == "constant" else "linear")


FACTS = {
    "optimizer": lambda config: config.optimizer.name,
    "lr": lambda config: config.optimizer.lr,
    "weight_decay": lambda config: config.optimizer.weight_decay,
    "epochs": lambda config: config.train.epochs,
    "max_epochs": lambda config: config.train.epochs,
    "seed": lambda config: config.train.seed,
    "warmup_steps": lambda config: config.schedule.warmup,
    "train_rows": lambda config: config.data.rows.train,
    "eval_rows": lambda config: config.data.rows.validation,
    "early_stop": lambda config: tuple(plain(config)["train"]["early_stop"].items()),
}


def test_emotion58_splits_and_cuts_as_document_1() -> None:
    data, stated = compose(["experiment=emotion58"]).data, published("emotion58")["data"]
    assert data.max_length == stated["max_length_tokens"]
    rows, split = stated["rows_after_cleaning"], stated["split"]
    for name in ("train", "validation", "test"):
        assert getattr(data.split, name) == pytest.approx(split[name] / rows, abs=1e-5)
    assert (data.split.seed, data.split.stratify, data.split.group) == (0, False, None)
    assert compose([]).data.split == data.split


def test_imdb_has_the_head_the_split_and_the_warm_up_of_document_3() -> None:
    config, stated = compose(["experiment=imdb"]), published("imdb")
    assert config.head.dropout == stated["head"]["dropout"]
    assert config.train.loss == "bce"
    assert config.schedule.warmup == 0.1
    assert config.data.max_length == stated["data"]["max_length_tokens"]
    split, (train, validation) = config.data.split, (stated["data"]["train"], stated["data"]["validation"])
    assert split.validation / (split.validation + split.train) * (train + validation) == validation
    assert config.data.split.seed == 42
    assert config.data.labels == ("neg", "pos")


def test_nsmc_takes_as_many_steps_as_document_2_logged() -> None:
    config, stated = compose(["experiment=nsmc", "study=single"]), published("nsmc")
    steps = stated["training"]["train_rows"] // config.train.batch_size
    logged = max(stated["train_loss_by_step"])
    assert logged <= steps < logged + stated["training"]["log_every_steps"]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_opens_with_question_command_and_published_result(experiment: str) -> None:
    text = (REPO / "conf" / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    opening = text.partition("\n\n")[0]
    for part in ("# Question: ", "# Command: ", "# Published: "):
        assert part in opening
    facts = published(experiment)
    if facts.get("result") == {"published": None}:
        assert "not published" in opening
    else:
        accuracy = facts.get("result", facts.get("winner", {}))["test_accuracy"]
        assert f"test accuracy {accuracy}" in opening


def test_plain_is_json_and_reads_back_as_the_same_configuration() -> None:
    config = compose(["experiment=kor_hate", "study=grid"])
    assert from_plain(json.loads(json.dumps(plain(config)))) == config


def test_a_configuration_from_before_there_were_searches_is_read() -> None:
    config = compose(["study=lr"])
    values = plain(config)
    values["study"] = {key: values["study"][key] for key in ("name", "lr", "batch_size")}
    assert from_plain(values) == config


@pytest.mark.parametrize("study", ["lr", "batch", "grid", "single"])
def test_every_study_but_a_search_takes_seeds_as_a_number_or_a_list(study: str) -> None:
    assert compose([f"study={study}"]).study.seeds is None
    assert compose([f"study={study}", "study.seeds=3"]).study.seeds == 3
    listed = compose([f"study={study}", "study.seeds=[0, 7]"])
    assert listed.study.seeds == (0, 7)
    assert from_plain(json.loads(json.dumps(plain(listed)))) == listed
    assert [one.study.seeds for one in compose_studies(["study=lr,batch", "study.seeds=2"])] == [2, 2]
    with pytest.raises(UserError, match=r"study\.seeds: got 2, takes null in study=search"):
        compose_studies([f"study={study},search", "study.seeds=2"])


def test_a_winner_frozen_before_there_was_cuda_graphs_is_read_as_it_was_trained() -> None:
    values = plain(compose(["train.cuda_graphs=true"]))
    assert from_plain(values).train.cuda_graphs
    del values["train"]["cuda_graphs"]
    assert not from_plain(values).train.cuda_graphs
    with pytest.raises(UserError, match=r"train\.cuda_graphs: got 2, takes true or false"):
        compose(["train.cuda_graphs=2"])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (None, None),
        ("runs/optuna.journal", "runs/optuna.journal"),
        ("sqlite:///runs/mlflow.db", "sqlite:///runs/mlflow.db"),
        ("postgresql://me:hunter2@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:hunt@er2@host/db?sslmode=on", "postgresql://me:***@host/db?sslmode=on"),
        ("postgresql://host/db?user=me&password=hunter2&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("https://hunter2@host/mlflow", "https://***@host/mlflow"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("https://[hunter2@host", "https://***@host"),
        ("postgresql://me:pa/ss?#x@host/db", "postgresql://me:***@host/db"),
    ],
)
def test_urls_lose_their_passwords(url: str | None, shown: str | None) -> None:
    assert redact_url(url) == shown


def test_records_never_hold_a_password_but_the_configuration_does() -> None:
    url = "postgresql://me:hunter2@host/db"
    config = compose([f"storage={url}", f"tracking.uri={url}"])
    assert (config.storage, config.tracking.uri) == (url, url)
    assert "hunter2" not in json.dumps(plain(config))


def test_every_key_has_a_default_and_a_line_of_meaning_in_the_help() -> None:
    lines = [line.split() for line in help_text().splitlines()]
    explained = {words[0].partition("=")[0] for words in lines if len(words) > 1 and "=" in words[0]}
    assert set(KEYS) <= explained
    for group in ("experiment", "study", "data", "optimizer", "schedule", "launcher", "tracking"):
        for option in options(group):
            assert option in help_text()


def test_composing_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(compose([]), Config)
    assert Path.cwd() == tmp_path
    assert os.listdir(tmp_path) == []


def test_a_table_takes_the_place_of_a_hubs_data_set():
    data = compose(["experiment=nsmc", "data.path=my.csv"]).data
    assert (data.source, data.path, data.train, data.test, data.revision) == ("table", "my.csv", None, None, None)
    assert (data.text, data.label) == ("document", "label")
    assert compose(["experiment=nsmc", "data.path=owner/name"]).data.source == "hub"
    assert compose(["data=hub", "data.path=owner/set.csv"]).data.source == "hub"


def test_among_several_studies_a_list_goes_to_the_study_that_varies_it():
    lr, batch, grid = compose_studies(["study=lr,batch,grid", "study.lr=[1e-4,5e-5]", "study.batch_size=[16,32]"])
    assert (lr.study.lr, lr.study.batch_size) == ((1e-4, 5e-5), None)
    assert (batch.study.lr, batch.study.batch_size) == (None, (16, 32))
    assert (grid.study.lr, grid.study.batch_size) == ((1e-4, 5e-5), (16, 32))
    [alone] = compose_studies(["study=lr", "study.batch_size=[16,32]"])
    assert alone.study.batch_size == (16, 32)  # one who names it for one study means it


def test_a_list_of_studies_gives_one_configuration_each():
    both = compose_studies(["study=lr,batch", "train.epochs=3"])
    assert [(config.study.name, config.train.epochs) for config in both] == [("lr", 3), ("batch", 3)]
    assert compose_studies(["train.epochs=3"]) == [compose(["train.epochs=3"])]
