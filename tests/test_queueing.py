"""The queue before a model: how many run, who is next, and that no slot is ever lost."""

import asyncio
import random

import pytest

from universal_core.errors import QueueFull
from universal_core.queueing import Queue


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_as_many_run_at_once_as_there_are_slots() -> None:
    async def main() -> None:
        queue = Queue(2, 10)
        jobs = [asyncio.ensure_future(queue.enter("key")) for _ in range(3)]
        await turn()
        assert [job.done() for job in jobs] == [True, True, False]
        assert queue.queued == 1
        queue.leave()
        await jobs[2]
        assert queue.queued == 0

    asyncio.run(main())


def test_one_too_many_is_refused_at_once_and_told_when_to_come_again() -> None:
    async def main() -> None:
        queue = Queue(1, 1)
        await queue.enter("key")
        waiting = asyncio.ensure_future(queue.enter("key"))
        await turn()
        with pytest.raises(QueueFull, match="1 requests wait") as raised:
            await queue.enter("other")
        assert raised.value.retry_after == 1
        queue.leave()
        await waiting

    asyncio.run(main())


def test_turns_go_round_among_keys_however_much_one_of_them_has_queued() -> None:
    async def main() -> list[str]:
        queue = Queue(1, 100)
        await queue.enter("first")
        order: list[str] = []

        async def ask(key: str, name: str) -> None:
            await queue.enter(key)
            order.append(name)
            queue.leave()

        wanted = [("greedy", f"greedy {number}") for number in range(4)] + [("modest", "modest"), ("shy", "shy")]
        jobs = [asyncio.ensure_future(ask(*want)) for want in wanted]
        await turn()
        queue.leave()
        await asyncio.gather(*jobs)
        return order

    assert asyncio.run(main()) == ["greedy 0", "modest", "shy", "greedy 1", "greedy 2", "greedy 3"]


def test_one_who_gives_up_frees_its_place_in_the_queue() -> None:
    async def main() -> None:
        queue = Queue(1, 1)
        await queue.enter("key")
        impatient = asyncio.ensure_future(queue.enter("key"))
        await turn()
        impatient.cancel()
        await turn()
        assert queue.queued == 0
        patient = asyncio.ensure_future(queue.enter("key"))
        await turn()
        queue.leave()
        await patient

    asyncio.run(main())


def test_one_who_gives_up_at_the_moment_of_its_turn_passes_the_slot_on() -> None:
    async def main() -> None:
        queue = Queue(1, 10)
        await queue.enter("a")
        first = asyncio.ensure_future(queue.enter("b"))
        second = asyncio.ensure_future(queue.enter("c"))
        await turn()
        queue.leave()
        first.cancel()
        await second
        assert first.cancelled()

    asyncio.run(main())


def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    async def main() -> None:
        queue = Queue(1, 10)
        await queue.enter("a")
        waiting = asyncio.ensure_future(queue.enter("b"))
        await turn()
        queue.leave()
        newcomer = asyncio.ensure_future(queue.enter("a"))
        await turn()
        assert waiting.done()
        assert not newcomer.done()
        queue.leave()
        await newcomer

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(5))
def test_no_slot_is_lost_or_made_up_whoever_gives_up_when(seed: int) -> None:
    async def main() -> None:
        dice = random.Random(seed)
        queue, running, most = Queue(3, 1000), 0, 0

        async def work(key: str) -> None:
            nonlocal running, most
            await queue.enter(key)
            running += 1
            most = max(most, running)
            try:
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                running -= 1
                queue.leave()

        jobs: list[asyncio.Task[None]] = []
        for _ in range(500):
            jobs.append(asyncio.ensure_future(work(dice.choice("abc"))))
            if dice.random() < 0.5:
                dice.choice(jobs).cancel()
            if dice.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.gather(*jobs, return_exceptions=True)
        assert most == 3
        assert (running, queue.queued) == (0, 0)
        for _ in range(3):
            async with asyncio.timeout(1):
                await queue.enter("afterwards")
        late = asyncio.ensure_future(queue.enter("late"))
        await turn()
        assert not late.done(), "there is a fourth slot"
        late.cancel()

    asyncio.run(main())
