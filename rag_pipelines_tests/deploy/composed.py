"""The services of a compose file as local processes, where there is no container engine.

What belongs here: what a container would give a service: its files at their places, the variables of its
image and its own, names of hosts, its command and health check. Each service has a folder that stands for its
root, and a loopback address of its own, so that ports stay as they are in the file. What does not: Postgres
(its image is not ours), and assertions.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"

_DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")
_ENV = re.compile(r"^ENV (?P<body>(?:.*\\\n)*.*)$", re.MULTILINE)


class Composed:
    """One start of the services of `compose.yaml` below `folder`, with the files of `secrets_folder`."""

    def __init__(self, folder: Path, secrets_folder: Path) -> None:
        self.file: dict[str, Any] = yaml.safe_load(_DEFAULT.sub(r"\1", COMPOSE.read_text()))
        self.services: dict[str, dict[str, Any]] = self.file["services"]
        self._folder = folder
        self._secrets = secrets_folder
        block = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}"
        self.addresses = {name: f"{block}.{number}" for number, name in enumerate(self.services, 1)}

    def root(self, service: str) -> Path:
        """What stands for the root folder of a service."""
        return self._folder / service

    def lay(self, service: str) -> None:
        """Put the service's configs, secrets and volumes where the file says, and nothing else."""
        described = self.services[service]
        for given in described.get("volumes", []):
            source, target = given.split(":")[:2]
            place = self._inside(service, target)
            place.parent.mkdir(parents=True, exist_ok=True)
            shared = COMPOSE.parent / source if source.startswith(".") else self._folder / "volumes" / source
            shared.mkdir(parents=True, exist_ok=True)
            place.symlink_to(shared)
        for given in described.get("configs", []):
            source = COMPOSE.parent / self.file["configs"][given["source"]]["file"]
            self._write(service, given["target"], source.read_text())
        for name in described.get("secrets", []):
            assert name in self.file["secrets"], f"{service} names the secret {name}, which is not described"
            self._write(service, f"/run/secrets/{name}", (self._secrets / name).read_text())
        self._inside(service, "/tmp").mkdir(parents=True)

    def run(self, service: str, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """A command as the service runs it, in a session of its own."""
        return subprocess.Popen(
            [self._translated(service, word) for word in command],
            env=self.environment(service),
            cwd=self._inside(service, "/tmp"),
            text=True,
            start_new_session=True,
            **options,
        )

    @contextmanager
    def started(self, service: str) -> Iterator[subprocess.Popen[str]]:
        """The service's own command, until the block ends."""
        with (self._folder / f"{service}.log").open("w") as log:
            process = self.run(service, self.services[service]["command"], stdout=log, stderr=log)
            try:
                yield process
            finally:
                with ExitStack() as stack:
                    stack.callback(process.wait)
                    os.killpg(process.pid, signal.SIGTERM)
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        os.killpg(process.pid, signal.SIGKILL)

    def log(self, service: str) -> str:
        return (self._folder / f"{service}.log").read_text()

    def check(self, service: str) -> subprocess.CompletedProcess[str]:
        """The service's health check, asked once."""
        kind, *command = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        process = self.run(service, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, said)

    def environment(self, service: str) -> Mapping[str, str]:
        """The variables of the image and of the service, with nothing of ours but what finds programs."""
        own = {str(key): str(value) for key, value in self.services[service].get("environment", {}).items()}
        found = {
            name: self._translated(service, value) for name, value in {**image_variables(), **own}.items()
        }
        source = Path(__file__).parents[2]
        # The image's own: the interpreter is ours, and compiled modules may be kept.
        del found["PYTHONDONTWRITEBYTECODE"]
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**found, "PATH": programs, "PYTHONPATH": str(source)}

    def _write(self, service: str, target: str, text: str) -> None:
        place = self._inside(service, target)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(self._translated(service, text))

    def _inside(self, service: str, path: str) -> Path:
        return self.root(service) / path.lstrip("/")

    def _translated(self, service: str, text: str) -> str:
        """A text with the places and hosts of the service's container as they are here."""
        root = self.root(service)
        text = re.sub(
            r"(?<![\w/.])/(run/secrets|etc/rag|var/lib|srv|tmp)(?=[/\s:}'\"]|$)", rf"{root}/\1", text
        )
        text = text.replace("0.0.0.0", "127.0.0.1").replace("127.0.0.1", self.addresses[service])
        for name, address in self.addresses.items():
            text = re.sub(
                rf"(?<=@){name}(?=:)|(?<=host=){name}$|(?<=host: ){name}$", address, text, flags=re.M
            )
        return text


def image_variables() -> dict[str, str]:
    """What the Dockerfile sets in each image."""
    bodies = [
        match["body"].replace("\\\n", " ") for match in _ENV.finditer((DEPLOY / "Dockerfile").read_text())
    ]
    return dict(pair.split("=", 1) for body in bodies for pair in body.split())


def programs_of_postgres() -> str | None:
    """The folder of `psql` and `pg_isready`, if they are installed."""
    found = shutil.which("pg_isready")
    return str(Path(found).parent) if found and shutil.which("psql") else None
