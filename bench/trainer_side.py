"""transformers' side of the comparisons: the Trainer and the pipeline, set up as well as we know how.

Nothing is asked of the Trainer that sweeper does not do: no checkpoints, no reports, no gradient clipping,
one validation an epoch, the fused optimizer with the same constant rate, the same loss, no worker processes
for data that is in memory. Each function is one measurement and runs in a fresh process.
"""

import json
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.materials import read_rows
from bench.sweeper_side import geometric_mean
from sweeper.errors import UserError

if TYPE_CHECKING:
    from transformers import Trainer

EVAL_BATCH = 64  # the Trainer's own default is 8, which would only be slower


def trial(job: Mapping[str, Any]) -> dict[str, Any]:
    """One training: what `sweeper_side.trial` does, by the Trainer.

    Args:
        job: as there, and `padding` (`longest` or `max_length`), `sampling` (`random` or `group_by_length`).

    Returns:
        `seconds` of `trainer.train()`, `train_seconds` of it without validation, `loss`, `losses`.
    """
    rows = read_rows(job["rows"])
    trainer = make_trainer(job, rows)
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    validations = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    losses = [float(entry["eval_loss"]) for entry in validations]
    validating = sum(entry["eval_runtime"] for entry in validations)
    return {"seconds": seconds, "train_seconds": seconds - validating, "loss": losses[-1], "losses": losses}


def study(job: Mapping[str, Any]) -> dict[str, Any]:
    """The sample's lr study by `hyperparameter_search` over an Optuna grid; the whole process is timed.

    Args:
        job: `sample` (file), `work`, `seed`, `precision`, `device`.

    Returns:
        `loss`, `losses` by learning rate, as `sweeper_side.study`; no `seconds`: the process's count.
    """
    import optuna
    from transformers import TrainerCallback

    rows = read_rows(job["sample"])
    losses: dict[str, float] = {}

    class Watch(TrainerCallback):
        """Keeps the last validation loss of every trial."""

        def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            losses[str(args.learning_rate)] = float(more["metrics"]["eval_loss"])

    settings = {name: rows[name] for name in ("model", "batch_size", "epochs", "max_length")}
    trainer = make_trainer({**job, **settings, "lr": rows["lr"][0], "padding": "longest", "sampling": "random"}, rows)
    trainer.add_callback(Watch())
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_categorical("learning_rate", rows["lr"])},
        compute_objective=lambda metrics: metrics["eval_accuracy"],
        n_trials=len(rows["lr"]),
        direction="maximize",
        backend="optuna",
        sampler=optuna.samplers.GridSampler({"learning_rate": rows["lr"]}),
    )
    return {"loss": geometric_mean(losses), "losses": losses}


def make_trainer(job: Mapping[str, Any], rows: Mapping[str, Any]) -> "Trainer":
    """A Trainer over tokenised rows, its model drawn from the seed as sweeper draws it.

    Raises:
        UserError: the Trainer cannot work without accelerate, which is not installed.
    """
    if find_spec("accelerate") is None:
        raise UserError("transformers' Trainer needs accelerate: pip install accelerate")
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )  # fmt: skip

    quieten()
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    padding = "max_length" if job["padding"] == "max_length" else False

    def tokenised(split: Mapping[str, Any]) -> Dataset:
        encoded = tokenizer(split["texts"], truncation=True, max_length=job["max_length"], padding=padding)
        return Dataset.from_dict({**encoded, "labels": split["labels"]})

    def fresh(_trial: Any = None) -> Any:
        torch.manual_seed(job["seed"])
        return AutoModelForSequenceClassification.from_pretrained(job["model"], num_labels=len(rows["label_names"]))

    arguments = TrainingArguments(
        output_dir=str(Path(job["work"]) / "trainer"),
        per_device_train_batch_size=job["batch_size"],
        per_device_eval_batch_size=EVAL_BATCH,
        num_train_epochs=job["epochs"],
        learning_rate=job["lr"],
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        weight_decay=0.0,
        max_grad_norm=0.0,
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=job["seed"],
        dataloader_num_workers=0,
        dataloader_pin_memory=job["device"] != "cpu",
        use_cpu=job["device"] == "cpu",
        bf16=job["precision"] == "bf16",
        train_sampling_strategy=job["sampling"],
    )
    return Trainer(
        model_init=fresh,
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=tokenised(rows["train"]),
        eval_dataset=tokenised(rows["validation"]),
        processing_class=tokenizer,
        compute_metrics=_metrics,
    )


def quieten() -> None:
    """No progress bars and no load reports, which cost time too."""
    from transformers import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _metrics(predicted: Any) -> dict[str, float]:
    """Accuracy and macro F1, which sweeper works out too."""
    from sweeper.training.metrics import accuracy, macro_f1

    labels, guesses = predicted.label_ids, predicted.predictions.argmax(-1)
    return {"accuracy": accuracy(labels, guesses), "macro_f1": macro_f1(labels, guesses)}


def predict(job: Mapping[str, Any]) -> dict[str, Any]:
    """`pipeline("text-classification")`, loaded before.

    Args:
        job: as `sweeper_side.predict`; `batch_size` (None: one by one, as in document 1), `first` (so many at most).
    """
    import torch
    from transformers import pipeline

    quieten()
    sentences = json.loads(Path(job["sentences"]).read_text(encoding="utf-8"))[: job["first"]]
    dtype = torch.bfloat16 if job["precision"] == "bf16" else torch.float32
    classify: Any = pipeline("text-classification", model=job["model"], device=job["device"], dtype=dtype)
    classify(sentences[0], truncation=True)
    started = time.perf_counter()
    if job["batch_size"] is None:
        answers = [classify(sentence, truncation=True)[0] for sentence in sentences]
    else:
        answers = classify(sentences, truncation=True, batch_size=job["batch_size"])
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "count": len(answers), "labels": [answer["label"] for answer in answers]}
