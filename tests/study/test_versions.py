"""A result's commit is that of the code that computed it, and of no repository that happens to lie around it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sweeper.study import versions as versions_module
from sweeper.study.versions import _git_commit, versions


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit, a virtual environment that it ignores, and the module in both."""
    for folder in (tmp_path / "src", tmp_path / ".venv/lib/sweeper/study"):
        folder.mkdir(parents=True)
        shutil.copy(Path(versions_module.__file__), folder / "versions.py")
    (tmp_path / ".gitignore").write_text(".venv\n")
    mine = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run(["git", *mine, *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_checkout_has_its_commit_marked_where_a_file_differs(repository):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True).stdout.strip()
    assert _git_commit(repository / "src/versions.py") == head
    (repository / "src/versions.py").write_text("changed")
    assert _git_commit(repository / "src/versions.py") == f"{head}-modified"


def test_a_wheel_inside_another_repository_has_no_commit(repository):
    assert _git_commit(repository / ".venv/lib/sweeper/study/versions.py") is None


def test_outside_any_repository_there_is_no_commit(tmp_path):
    assert _git_commit(tmp_path / "versions.py") is None


def test_the_libraries_that_matter_are_named():
    assert {"version.sweeper", "version.torch", "version.transformers"} <= set(versions())
