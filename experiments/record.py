"""Run the recorded experiments and write what they measured: `make record`, or `python experiments/record.py NAME ...`.

For each experiment: both studies, the winner's one test, the report, `experiments/NAME/result.json`; then the tables
of `experiments/NAME/README.md` and `experiments/README.md`, with what `prune=overfit` would have spared, are written
anew from the `result.json` files. `--tables` writes the tables alone. A test holds the tables to the files, and the
files to the commands below.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = "../shared/data"
RUNS = "runs/recorded"
KEPT_APART = ("tracking=none", "progress=plain", f"paths.runs={RUNS}")  # changes no figure
START, END = "<!-- from result.json -->", "<!-- /from result.json -->"
NONE = "–"

CAP = ("data.rows.train=2000", "data.rows.validation=1000", "data.rows.shuffle_seed=0")
SMALL = ("model=ko-mini", *CAP, "schedule.warmup=0.1")  # the document's 500 warm-up steps are longer than such epochs
COMMANDS: dict[str, tuple[str, ...]] = {
    "emotion58_sample": (),
    "nsmc": (
        "model=ko-mini", "data.source=table", "data.quoting=false", f"data.train={DATA}/nsmc/ratings_train.txt",
        f"data.test={DATA}/nsmc/ratings_test.txt", "data.rows.validation=2000", "train.epochs=5",
    ),
    "kor_hate": (*SMALL, f"data.train={DATA}/kor_hate/train.tsv", f"data.test={DATA}/kor_hate/dev.tsv"),
    "kor_sarcasm": (*SMALL, f"data.train={DATA}/kor_sarcasm/train.csv", f"data.test={DATA}/kor_sarcasm/test.csv"),
    "kor_sae": (*SMALL, f"data.path={DATA}/kor_sae/sae4k_v1.txt"),
    "kor_3i4k": (
        *SMALL, f"data.train={DATA}/kor_3i4k/fci_train_val.txt", f"data.test={DATA}/kor_3i4k/fci_test.txt",
    ),
}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Record the named experiments, or all of them, and write the tables."""
    names = [name for name in arguments if not name.startswith("-")]
    if unknown := set(names) - set(COMMANDS):
        sys.exit(f"{', '.join(sorted(unknown))}: not recorded; there are {', '.join(COMMANDS)}")
    for name in [] if "--tables" in arguments else names or COMMANDS:
        record(name)
    for name in results():
        write_tables(name)
    _run("-m", "bench.savings", "--write")


def sweep_command(name: str) -> list[str]:
    """The experiment's command, as it is told in its documents."""
    experiment = [] if name == "emotion58_sample" else [f"experiment={name}"]
    return ["python", "-m", "sweeper", *experiment, "study=lr,batch", *COMMANDS[name]]


def record(name: str) -> None:
    """Train, test and report one experiment."""
    of = ["--experiment", name, "--runs", RUNS]
    _run(*sweep_command(name)[1:], *KEPT_APART)
    _run("-m", "sweeper.best", *of)
    _run("-m", "sweeper.report", *of, "--record", str(HERE / name / "result.json"))


def _run(*arguments: str) -> None:
    print("$ python", *arguments, flush=True)
    subprocess.run([sys.executable, *arguments], check=True)


def results() -> dict[str, dict[str, Any]]:
    """What has been recorded, by experiment."""
    files = sorted(HERE.glob("*/result.json"))
    return {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in files}


def write_tables(name: str) -> None:
    """Write the figures of one experiment into its README and into the table of all."""
    result = results()[name]
    own, all_of_them = HERE / name / "README.md", HERE / "README.md"
    text = own.read_text(encoding="utf-8")
    before, found, rest = text.partition(START)
    after = rest.partition(END)[2] if found else ""
    if not found:
        before = text.partition("## Measured here")[0] + "## Measured here\n\n"
    own.write_text(f"{before}{measured(result)}{after or chr(10)}", encoding="utf-8")
    row = re.compile(rf"^(\| \[{name}\]\(.*\| )[^|]* \|$", re.MULTILINE)
    table = row.sub(lambda match: f"{match[1]}{in_short(result)} |", all_of_them.read_text(encoding="utf-8"))
    all_of_them.write_text(table, encoding="utf-8")


def in_short(result: Mapping[str, Any]) -> str:
    """The experiment in one cell of the table of all."""
    best = result["trials"][0]
    figures = [
        f"val accuracy {_with_interval(best['val_accuracy'], best['interval'])} at lr {rate(best['lr'])}, "
        f"batch {best['batch_size']}",
        f"test accuracy {_number(result['test']['accuracy'])}",
        f"TF-IDF: {_number(result['baseline']['accuracy'])} val",
    ]
    return f"{result['model']}, {result['rows']['train']:,} rows: {'; '.join(figures)}"


def measured(result: Mapping[str, Any]) -> str:
    """The experiment's own section, between its two marks."""
    machine, rows = result["machine"], result["rows"]
    where = f"{machine['cores']} cores ({machine['processor']})" if not machine["gpu"] else machine["gpu"]
    caps = ", ".join(f"{name} {cap:,}" for name, cap in result["row_caps"].items())
    chance, test = result["chance"], result["test"]
    same = sum(trial["verdict"] == "same" for trial in result["trials"])
    lines = [
        START,
        "```",
        *result["commands"],
        "```",
        "",
        f"{rows['train']:,} training, {rows['validation']:,} validation and {rows['test']:,} test rows"
        + (f" (capped: {caps})" if caps else "")
        + f", {result['classes']} classes; {result['model']}, {result['precision']}, seed {result['seed']}; {where}, "
        f"{result['threads']} thread(s) a trial; sweeper {result['versions']['sweeper']}, torch "
        f"{result['versions']['torch']}, transformers {result['versions']['transformers']}. All trials together: "
        f"{result['trial_seconds']:,.0f} s.",
        "",
        "| lr | batch | overfitting epoch | train loss | val loss | train acc | val acc (95%) | s | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(trial) for trial in result["trials"]),
        "",
        f"- **Winner on the test split**: accuracy {_with_interval(test['accuracy'], test['interval'])}, macro-F1 "
        f"{_number(test['macro_f1'])}, {test['rows']:,} rows, read once.",
        f"- **Baseline** ({result['baseline']['what']}), validation: "
        f"{_with_interval(result['baseline']['accuracy'], result['baseline']['interval'])}; guessing "
        f"{chance['guess']}: {_number(chance['figure'])}.",
        f"- **Cannot be told from the winner** by McNemar's test (5%, Holm): {same} of the other "
        f"{len(result['trials']) - 1} trials.",
        END,
    ]
    return "\n".join(lines)


def _row(trial: Mapping[str, Any]) -> str:
    point = trial["overfitting"]
    epoch = (
        NONE if point["epoch"] is None else point["epoch"] if point["reached"] else f"not reached ({point['epoch']})"
    )
    accuracy = _with_interval(trial["val_accuracy"], trial["interval"])
    verdict = {"same": "not told apart"}.get(trial["verdict"], trial["verdict"])
    cells = [
        rate(trial["lr"]), trial["batch_size"], epoch, _number(trial["train_loss"]), _number(trial["val_loss"]),
        _number(trial["train_accuracy"]), f"**{accuracy}**" if verdict == "winner" else accuracy,
        f"{trial['seconds']:.0f}", trial["state"] if verdict == "none" else verdict,
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def rate(value: float) -> str:
    """`1e-4`, `5e-5`: as they are written on the command line."""
    mantissa, exponent = f"{value:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    return _number(value) + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


if __name__ == "__main__":
    main(sys.argv[1:])
