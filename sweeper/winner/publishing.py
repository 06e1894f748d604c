"""An export handed on: to the Hugging Face hub, or to MLflow's model registry. Only where the user says so."""

import os
from pathlib import Path
from typing import Any

from sweeper.errors import UserError
from sweeper.study.record import TrialRecord
from sweeper.tracked import default_uri, root_cause
from sweeper.tracking import MlflowStore


def push(folder: Path, repo: str, *, public: bool, api: Any = None) -> str:
    """Upload an export; the repository is made if there is none.

    Args:
        repo: USER/NAME on the hub.
        public: False makes a private repository, and refuses one that is public already.
        api: stands in for `huggingface_hub.HfApi()`.

    Returns:
        The repository's address.

    Raises:
        UserError: no login, no permission, no connection, a bad name.
    """
    from huggingface_hub import HfApi

    api = api or HfApi()
    try:
        address = api.create_repo(repo, private=not public, exist_ok=True)
        if not public and not api.model_info(repo).private:
            raise UserError(f"--push {repo}: this repository is public. Say --public, or name another one.")
        api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message="Model frozen by sweeper")
    except UserError:
        raise
    except Exception as error:  # the hub's errors have no common base but this one
        why = str(error).strip().split("\n")[0]
        raise UserError(
            f"--push {repo}: the hub did not take it ({type(error).__name__}: {why}). Log in with `hf auth login`, "
            f"check the name and the connection; the export is in {folder}."
        ) from error
    return str(address)


def register(winner: TrialRecord, folder: Path, name: str, runs: Path) -> str:
    """Put an export into MLflow's model registry, beside the trial's run.

    Returns:
        The version.

    Raises:
        UserError: the tracking server is not there or refuses.
    """
    uri = winner.config["tracking"]["uri"] or default_uri(runs)
    try:
        return MlflowStore(winner.config["name"], runs, _with_password(uri)).register(winner.key, folder, name)
    except UserError:
        raise
    except Exception as error:
        why = str(root_cause(error)).strip().split("\n")[0]
        raise UserError(f"--register {name}: {uri} did not take it ({why}).") from error


def _with_password(uri: str) -> str:
    """Records hold no passwords; MLflow reads its own variables for them."""
    if "***" not in uri:
        return uri
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given is None:
        raise UserError(
            f"--register: the password of {uri} is not stored. Set MLFLOW_TRACKING_URI to the whole address for this "
            "command."
        )
    return given
