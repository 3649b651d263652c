"""What all rivals do."""

import sys
import threading
from dataclasses import dataclass
from http.client import HTTPConnection
from json import loads
from pathlib import Path
from urllib.parse import urlsplit

PATH = "/v2/videos/generations/"

_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line says."""

    provider_url: str
    folder: Path
    jobs: int
    interval_s: float

    def job_ids(self) -> list[str]:
        """Return the jobs to begin with."""
        return [f"req-{number:08d}" for number in range(self.jobs)]


def arguments() -> Arguments:
    """Return them."""
    _, url, folder, jobs, interval_s = sys.argv
    return Arguments(url, Path(folder), int(jobs), float(interval_s))


def ask(provider_url: str, job_id: str) -> str:
    """Return a job's status, asked over a connection that each thread keeps."""
    connection: HTTPConnection | None = getattr(_thread, "connection", None)
    if connection is None:
        connection = _thread.connection = HTTPConnection(urlsplit(provider_url).netloc)
    connection.request("GET", PATH + job_id)
    status: str = loads(connection.getresponse().read())["status"]
    return status
