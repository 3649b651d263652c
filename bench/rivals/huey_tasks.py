"""A task that puts itself into the queue again, on huey with its own SQLite storage."""

import random

from huey import SqliteHuey

from bench.rivals.task import arguments, ask

_THREADS = 8


def main() -> None:
    """Run huey's consumer."""
    given = arguments()
    huey = SqliteHuey(filename=str(given.folder / "huey.db"))

    def follow(job_id: str) -> None:
        if ask(given.provider_url, job_id) != "completed":
            task.schedule((job_id,), delay=given.interval_s)

    task = huey.task()(follow)
    for job_id in given.job_ids():
        task.schedule((job_id,), delay=random.uniform(0, given.interval_s))
    huey.create_consumer(workers=_THREADS, worker_type="thread").run()


if __name__ == "__main__":
    main()
