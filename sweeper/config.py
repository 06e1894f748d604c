"""From the command line to one typed configuration: Hydra puts `conf/` and the overrides together.

Hydra is used as a composer only: it writes no folder, changes no directory, logs nothing, and is imported
when it is needed, so that `--help` stays quick. What can be said of a wrong override without composing is
said here, in the user's words; every value is then checked by `sweeper.checks`.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args, get_origin

from sweeper.checks import RANGES, number_of_points, read
from sweeper.errors import UserError, redact
from sweeper.schema import KEYS, LONGEST_NAME, SEARCH_ALONE, TAKEN, Config
from sweeper.values import alternatives, bare, refusal, similar, suggest

__all__ = [
    "RANGES",
    "Config",
    "compose",
    "compose_studies",
    "conf_folder",
    "from_plain",
    "help_text",
    "options",
    "plain",
    "redact_url",
]

LATER_KEYS: Mapping[str, Mapping[str, Any]] = {
    "train": {"cuda_graphs": False},
    "launcher": {"address": None, "num_cpus": None, "num_gpus": None},
    "study": {key: None for name in SEARCH_ALONE if "." not in (key := name.removeprefix("study."))}
    | {"seeds": None, "budget": {"trials": None, "minutes": None, "epochs": None}},
}
TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".xlsx")
WIDTH = 34
BUDGET = "study.budget."
USAGE = """sweeper: which learning rate, batch size and number of epochs suit my labelled sentences?

It trains a grid or searches ranges, logs every epoch, finds each training's overfitting point (the last epoch
before validation loss first rises) and compares the trainings there.

Usage: python -m sweeper [group=option ...] [key=value ...]
       python -m sweeper.best [--export]     the winner, and its scores on the test split
       python -m sweeper.predict DIR FILE    labels for new sentences
"""
EXAMPLES = """Examples:
  python -m sweeper study=lr,batch
  python -m sweeper experiment=kor_hate model=klue/bert-base study=grid "study.lr=[1e-4,2e-5]"
  python -m sweeper study=lr "study.lr=[1e-4,5e-5]" study.seeds=3
  python -m sweeper study=search study.budget.epochs=100 "study.dropout=[0,0.3]"
  python -m sweeper data=table data.path=my.csv data.text=sentence data.label=emotion model=klue/bert-base"""


def compose(overrides: Sequence[str]) -> Config:
    """The configuration of one study.

    Args:
        overrides: `key=value` as on the command line, e.g. `["study=lr", "train.epochs=3"]`.

    Raises:
        UserError: an override or a value that cannot be; nothing has been loaded.
    """
    given = dict(_parsed(text) for text in overrides)
    values = _composed(given)
    values["data"] = _one_place(values["data"], set(given))
    values["study"] = _one_budget(values["study"], given)
    values["name"] = values["name"] if values["name"] is not None else _name(values, set(given))
    return read(values)


def compose_studies(overrides: Sequence[str]) -> list[Config]:
    """One configuration a study: `study=lr,batch` gives two, to be run one after the other.

    Among several, a list belongs to the study that it is named after: `study.lr` is not given to `batch`, which
    takes the rate that won, nor `study.batch_size` to `lr`, and what only a search takes to no other.

    Raises:
        UserError: as `compose`.
    """
    chosen = [override for override in overrides if override.startswith("study=")]
    if not chosen:
        return [compose(overrides)]
    names = chosen[-1].removeprefix("study=").split(",")
    rest = [override for override in overrides if override not in chosen]
    return [compose([*_for_study(name, rest, names), f"study={name}"]) for name in names]


def _for_study(name: str, overrides: Sequence[str], names: Sequence[str]) -> list[str]:
    foreign: set[str] = set()
    if len(names) > 1:
        foreign |= {"lr": {"study.batch_size"}, "batch": {"study.lr"}}.get(name, set())
    if "search" in names and name != "search":
        foreign |= set(SEARCH_ALONE)
    return [override for override in overrides if override.partition("=")[0] not in foreign]


def from_plain(values: Mapping[str, Any]) -> Config:
    """The configuration from what `plain` gave, e.g. of a trial's record (its URLs have lost their passwords).

    Keys that came later than the first frozen winners have the value here that those were trained with.
    """
    for section, later in LATER_KEYS.items():
        if isinstance(given := values.get(section), Mapping):
            values = {**values, section: {**later, **given}}
    return read(values)


def plain(config: Config) -> dict[str, Any]:
    """Nested plain values (JSON-able, lists for tuples) for records and hashes; URLs without their passwords."""
    values: dict[str, Any] = _lists(asdict(config))
    values["storage"] = redact_url(config.storage)
    values["tracking"]["uri"] = redact_url(config.tracking.uri)
    return values


def redact_url(url: str | None) -> str | None:
    """The URL without its secrets; None stays None."""
    return None if url is None else redact(url)


def conf_folder() -> Path:
    """`conf/` beside the package's files in an installed wheel, else that of the repository."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


def options(group: str) -> list[str]:
    """What a group offers, e.g. `options("study")`, by the files in `conf/`."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml"))


def groups() -> list[str]:
    """The groups of `conf/`."""
    return sorted(path.name for path in conf_folder().iterdir() if path.is_dir())


def _parsed(text: str) -> tuple[str, str]:
    """One override as key and value, the value quoted for Hydra where the key takes text."""
    match = re.fullmatch(r"([A-Za-z_][\w.]*)=(.*)", text, re.DOTALL)
    if not match:
        raise UserError(f"{text}: cannot be read, takes key=value without blanks{_slip(text)}")
    key, value = match.groups()
    if key in groups():
        if value not in options(key):
            near = suggest(value, options(key))
            raise UserError(f"{key}: got {value or 'nothing'}, takes one of {', '.join(options(key))}{near}")
        return key, value
    if inside := [name for name in KEYS if name.startswith(f"{key}.")]:
        raise UserError(f"{key}: takes no value of its own, only its keys: {', '.join(inside)}")
    if key not in KEYS:
        raise UserError(f"{key}: there is no such key{suggest(key, [*KEYS, *groups()])}")
    return key, _for_hydra(key, value, KEYS[key])


def _slip(text: str) -> str:
    """What was probably meant by an override that is none: `lr 2e-5`, `--lr=2e-5`, `+lr=2e-5`."""
    match = re.fullmatch(r"[-+~]*([A-Za-z_][\w.]*)(?:\s*[=: ]\s*(.+))?", text)
    if not match or "://" in text.partition("=")[0]:  # an address that lacks its key
        return ", e.g. optimizer.lr=2e-5"
    key, value = match[1], (match[2] or "...").strip()
    return f"; did you mean {' or '.join(f'{name}={value}' for name in similar(key, [*KEYS, *groups()]) or [key])}?"


def _for_hydra(key: str, value: str, kind: Any) -> str:
    """The value as Hydra's grammar wants it; text is taken as it stands (Korean, commas, blanks, 007)."""
    kinds = [bare(one) for one in alternatives(kind)]
    if value == "null":
        return value
    if str in kinds and all(one in (str, type(None)) for one in kinds):
        text = _unquoted(value)
        return _quoted(text.replace(r"\t", "\t") if key == "data.delimiter" else text)
    if any(get_origin(one) is tuple and bare(get_args(one)[0]) is str for one in kinds) and value[:1] == "[":
        quote = "'" if "'" in value else '"'
        items = next(csv.reader([value[1:].removesuffix("]")], quotechar=quote, skipinitialspace=True), [])
        return f"[{','.join(_quoted(item.strip()) for item in items)}]"
    return value


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _quoted(text: str) -> str:
    """In Hydra's quotes: only a quote, and the backslashes right before one, are escaped."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", text)) + "'"


def _composed(given: Mapping[str, str]) -> dict[str, Any]:
    """What the files of `conf/` and the overrides come to, as plain nested values."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    parser, overrides = OverridesParser.create(), [f"{key}={value}" for key, value in given.items()]
    for (key, value), override in zip(given.items(), overrides, strict=True):
        try:
            readable = not parser.parse_override(override).is_sweep_override()
        except HydraException:
            readable = False
        if not readable:
            raise UserError(refusal(key, value, KEYS[key]))
    try:
        with initialize_config_dir(str(conf_folder()), job_name="sweeper", version_base="1.3"):
            values = OmegaConf.to_container(hydra_compose("config", overrides=overrides), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"the configuration with {', '.join(given)} cannot be put together: {reason}") from None
    return cast(dict[str, Any], values)


def _one_place(data: Mapping[str, Any], given: set[str]) -> dict[str, Any]:
    """A place that the user names takes the place of the experiment's, whichever way that one was given.

    `data.path=my.csv` unsets the experiment's train, validation and test files, and `data.train=my.csv` its
    path. The splits of a hub's data set belong to its path and stay; a table in its place is read as one.
    """
    if data["source"] == "hub":
        is_table = "data.path" in given and str(data["path"]).lower().endswith(TABLES)
        if not is_table or {"data", "data.source"} & given:
            return dict(data)
        data = {**data, "source": "table", "revision": None, "config": None}
    unset = {"path"} if "data.train" in given else {"train", "validation", "test"} if "data.path" in given else set()
    return {key: None if key in unset and f"data.{key}" not in given else value for key, value in data.items()}


def _one_budget(study: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The search's own number of trials: none beside a budget that is named, and no more than there are points."""
    named = {key for key, value in given.items() if key.startswith(BUDGET) and value != "null"}
    trials = study["budget"]["trials"]
    if f"{BUDGET}trials" in given or trials is None:
        return dict(study)
    most = None if named else min(trials, number_of_points(study) or trials)
    return {**study, "budget": {**study["budget"], "trials": most}}


def _name(values: Mapping[str, Any], given: set[str]) -> str:
    """The experiment's name, or where only the data is the user's own, its file's stem, made safe."""
    place = values["data"]["path"] or values["data"]["train"]
    if "experiment" in given or not given & {"data", "data.path", "data.train"} or not isinstance(place, str):
        return str(values["experiment"])
    path = Path(place)
    for part in (path.name if values["data"]["source"] == "hub" else path.stem, path.parent.name):
        safe = re.sub(r"[^\w.-]+", "-", part).strip("-.")[:LONGEST_NAME].rstrip("-.")
        if safe:
            return f"{safe}-data" if safe in TAKEN else safe
    return "data"


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


def help_text() -> str:
    """What `python -m sweeper --help` prints, read from `conf/`: usage, groups, keys, examples."""
    lines = [USAGE, "Groups (group=option):"]
    chosen = dict(re.findall(r"^  - (\w+): (\w+)$", _text("config.yaml"), re.MULTILINE))
    for group in groups():
        if group != "experiment":
            offered = [f"{name} (default)" if name == chosen.get(group) else name for name in options(group)]
            lines.append(f"  {group:<{WIDTH}}  {', '.join(offered)}")
    lines += [
        "",
        f"Experiments (experiment=name), default {chosen['experiment']}; documents are the study notes of README:",
    ]
    for name in options("experiment"):
        question = re.search(r"^# Question: (.*)$", _text(f"experiment/{name}.yaml"), re.MULTILINE)
        lines.append(f"  {name:<{WIDTH}}  {question[1] if question else ''}")
    lines += ["", "Keys (key=value) with their defaults; a study and an experiment set some of them otherwise:"]
    lines += [*_documented("config.yaml"), *_documented("data_keys.yaml", "data.")]
    return "\n".join([*lines, "", EXAMPLES])


def _text(name: str) -> str:
    return (conf_folder() / name).read_text(encoding="utf-8")


def _documented(name: str, prefix: str = "") -> Iterator[str]:
    """`  train.epochs=10   epochs of every training` for each line of a file of defaults that has a comment."""
    sections: list[str] = []
    for line in _text(name).splitlines():
        if match := re.fullmatch(r"( *)(\w+): *(?:(\S+) +# (.*))?", line):
            indent, key, default, meaning = match.groups()
            del sections[len(indent) // 2 :]
            if default is None:
                sections.append(f"{key}.")
            else:
                yield f"  {prefix + ''.join(sections) + key + '=' + default:<{WIDTH}}  {meaning}"
