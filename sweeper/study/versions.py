"""What code and libraries computed a result: recorded with every trial, never part of its key."""

import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

LIBRARIES = ("sweeper", "torch", "transformers", "datasets", "optuna", "mlflow", "scikit-learn")


@cache
def versions() -> dict[str, str]:
    """`version.<library>` for the libraries that matter, and the project's git commit where it has one."""
    found = {}
    for library in LIBRARIES:
        try:
            found[f"version.{library}"] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    commit = _git_commit()
    return found | ({"git.commit": commit} if commit else {})


def _git_commit(code: Path = Path(__file__)) -> str | None:
    """The commit of the checkout the code runs from, marked where files differ from it.

    A wheel in a `.venv` inside somebody's repository is no part of it: only a tracked file has a commit.
    """
    git = ["git", "-C", str(code.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", code.name], capture_output=True, timeout=5, check=True)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("-modified" if changed.stdout.strip() else "")
