"""How the demo shows its jobs: as a live table on a terminal, as a line for every change elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from relay.cli import output

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job of the demo stands; `told` is what its callback receiver answered."""

    provider: str
    job_id: str
    status: str
    provider_status: str
    polls: int
    told: str


Show = Callable[[Sequence[Progress]], None]


@contextmanager
def progress_view() -> Iterator[Show]:
    """Give what shows the jobs as they stand, again and again."""
    if not sys.stdout.isatty():
        yield _changes()
        return
    from rich.live import Live

    with Live(refresh_per_second=8) as live:
        yield lambda jobs: live.update(_table(jobs))


def _changes() -> Show:
    seen: dict[str, tuple[str, str, str]] = {}

    def show(jobs: Sequence[Progress]) -> None:
        for job in jobs:
            state = (job.status, job.provider_status, job.told)
            if seen.get(job.job_id) != state:
                seen[job.job_id] = state
                literal = f" ({job.provider_status})" if job.provider_status else ""
                told = f", callback {job.told}" if job.told else ""
                click.echo(f"watching {job.provider:<16}{job.job_id:<18}{job.status}{literal}, {job.polls} polls{told}")

    return show


def _table(jobs: Sequence[Progress]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in ("PROVIDER", "JOB", "STATUS", "AT THE PROVIDER", "POLLS", "CALLBACK"):
        table.add_column(header)
    for job in jobs:
        status = Text(job.status, style=output.COLOURS.get(job.status, ""))
        table.add_row(job.provider, job.job_id, status, job.provider_status, str(job.polls), job.told)
    return table
