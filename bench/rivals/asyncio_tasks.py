"""A task per job, which sleeps between its questions."""

import asyncio
import random

import aiohttp

from bench.rivals.task import PATH, arguments


async def _follow(session: aiohttp.ClientSession, url: str, interval_s: float) -> None:
    await asyncio.sleep(random.uniform(0, interval_s))
    while True:
        async with session.get(url) as answer:
            if (await answer.json())["status"] == "completed":
                return
        await asyncio.sleep(interval_s)


async def _main() -> None:
    given = arguments()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for job_id in given.job_ids():
            tasks.create_task(_follow(session, given.provider_url + PATH + job_id, given.interval_s))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
