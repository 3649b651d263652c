"""An APScheduler job per watch, in memory, as it comes."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import aiohttp
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bench.rivals.task import PATH, arguments


async def _main() -> None:
    given, scheduler = arguments(), AsyncIOScheduler(timezone=UTC)
    async with aiohttp.ClientSession() as session:

        async def ask(job_id: str) -> None:
            async with session.get(given.provider_url + PATH + job_id) as answer:
                if (await answer.json())["status"] == "completed":
                    scheduler.remove_job(job_id)

        scheduler.start(paused=True)
        for job_id in given.job_ids():
            begin = datetime.now(UTC) + timedelta(seconds=random.uniform(0, given.interval_s))
            scheduler.add_job(ask, "interval", seconds=given.interval_s, args=[job_id], id=job_id, next_run_time=begin)
        scheduler.resume()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
