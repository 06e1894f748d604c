"""Real servers on 127.0.0.1 for faults and tests: MLflow's, and PostgreSQL's in a temporary folder."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

STARTS_WITHIN = 120.0


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class MlflowServer:
    """`mlflow server` with one worker; can be stopped, started again on the same data, and made to hang.

    Args:
        folder: for its database (where `database` does not name another), artifacts and log.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.database = database or f"sqlite:///{folder / 'server.db'}"
        self.artifacts = folder / "artifacts"
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", self.database, "--artifacts-destination", str(self.artifacts),
        ]  # fmt: skip
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"mlflow server does not start: {(self.folder / 'server.log').read_text()[-800:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it as a power cut does."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process = None

    def signal(self, number: int) -> None:
        """Send it and its workers a signal, such as SIGSTOP."""
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def postgres_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, or None."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    return max(found) if found else Path(on_path).resolve().parent if on_path else None


def unprivileged() -> str | None:
    """The user that PostgreSQL runs as where we are root, which it refuses; None where we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Postgres:
    """A PostgreSQL server with its data in `folder`, for one test.

    Args:
        folder: a new folder; everybody must be able to come to it (not below a private one).
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder, self.port, self.user = binaries, folder, free_port(), unprivileged()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Postgres":
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "sweeper", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, again too, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder),
                              "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-800:]}")
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it and all its connections: in order (SIGINT), or as a crash that it recovers from (SIGQUIT)."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
        self._process = None

    def url(self, database: str = "postgres", scheme: str = "postgresql+psycopg") -> str:
        """The URL of one of its databases."""
        return f"{scheme}://sweeper:secret-of-the-test@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make a database and give its URL."""
        import psycopg

        with psycopg.connect(self.url(scheme="postgresql"), autocommit=True) as server:
            server.execute(f'create database "{database}"')  # type: ignore[arg-type]
        return self.url(database)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(scheme="postgresql"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            self._command(program, *arguments), cwd=self.folder, check=True, capture_output=True, timeout=120
        )

    def _command(self, program: str, *arguments: str) -> list[str]:
        as_user = (
            [] if self.user is None else ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        )
        return [*as_user, str(self.binaries / program), *arguments]
