"""One fabricated study, and its page, for all tests of this room."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sweeper.data.corpus import Corpus
from sweeper.report import make_report
from sweeper.study.record import TrialRecord, rank
from tests.reporting import fabricated


@dataclass(frozen=True)
class Study:
    """A study on disk."""

    runs: Path
    name: str
    config: dict[str, Any]
    records: list[TrialRecord]
    corpus: Corpus


def _study(folder: Path, name: str, *, regression: bool) -> Study:
    config = fabricated.data_config(fabricated.write_table(folder, regression=regression), regression=regression)
    runs = folder / "runs"
    records = rank(fabricated.write_study(runs, name, fabricated.dozen(), config))
    return Study(runs, name, config, records, fabricated.load(config, runs))


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    """A dozen trials of a classification, one of them diverged, the winner tested."""
    made = _study(tmp_path_factory.mktemp("dozen"), f"dozen {fabricated.EVIL.replace('/', '')}", regression=False)
    fabricated.write_test_report(made.runs, made.name, made.records[0].key, made.corpus)
    return made


@pytest.fixture(scope="session")
def page_file(study) -> Path:
    """The study's page."""
    return make_report(study.runs, study.name)


@pytest.fixture(scope="session")
def page(page_file) -> str:
    """The study's page as text."""
    return page_file.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def regression_study(tmp_path_factory) -> Study:
    """The same of a regression, not tested."""
    return _study(tmp_path_factory.mktemp("regression"), "numbers", regression=True)
