"""A task that puts itself into the queue again, on Celery with Redis."""

import random

from celery import Celery

from bench.rivals.task import arguments, ask

_THREADS = 8


def main() -> None:
    """Run Celery's worker; its Redis listens on a socket in the folder."""
    given = arguments()
    app = Celery("rival", broker=f"redis+socket://{given.folder / 'redis.sock'}")
    app.conf.task_ignore_result = True

    def follow(job_id: str) -> None:
        if ask(given.provider_url, job_id) != "completed":
            task.apply_async((job_id,), countdown=given.interval_s)

    task = app.task(name="follow")(follow)
    for job_id in given.job_ids():
        task.apply_async((job_id,), countdown=random.uniform(0, given.interval_s))
    app.worker_main(["worker", "--pool=threads", f"--concurrency={_THREADS}", "--loglevel=ERROR"])


if __name__ == "__main__":
    main()
