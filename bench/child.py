"""One measurement in a process of its own, so that no case inherits another's caches, threads or memory.

`python -m bench.child RESULT < job.json`: does the job and writes what it found to RESULT. What libraries
print goes where the parent sends it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.machine import use_cores
from sweeper.errors import UserError

REPO = Path(__file__).parent.parent
USER = 2  # exit code of an error that the user can mend


def measure(name: str, job: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Do a job in a fresh process on so many processors.

    Args:
        name: `module:function` of this package.
        job: what the function is given, JSON-able.

    Returns:
        What the function gave, `process_seconds` from start to exit, and `seconds`, the same unless it gave its own.

    Raises:
        UserError: the job's own.
        RuntimeError: it failed otherwise; the end of what it printed is in the message.
    """
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "bench.child", str(result)]
        task = json.dumps({"name": name, "job": dict(job), "threads": threads})
        started = time.perf_counter()
        done = subprocess.run(command, input=task, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode == USER:
            raise UserError(done.stderr.strip().splitlines()[-1])
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return {"seconds": seconds, **json.loads(result.read_text(encoding="utf-8")), "process_seconds": seconds}


def main() -> int:
    """Do the job on standard input."""
    task = json.load(sys.stdin)
    use_cores(task["threads"])
    module, _, function = task["name"].partition(":")
    try:
        found = getattr(import_module(f"bench.{module}"), function)(task["job"])
    except UserError as error:
        print(error, file=sys.stderr)
        return USER
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
