"""P5 holds at any time: read models are rebuilt beside the live ones again and again while the storm goes on."""

from __future__ import annotations

import asyncio

from tests.faults.harness.stack import Stack

MODELS = ("jobs", "subscriptions")
COMPARE_EVERY = 20.0


class Comparison:
    """Rebuilds read models with the service's own command.

    Attributes:
        equal: how many rebuilds found the live model equal.
        findings: what others found.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.equal = 0
        self.findings: list[str] = []

    async def again_and_again(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(COMPARE_EVERY)
            for model in MODELS:
                await self._compare(model, final=False)

    async def once_more(self) -> None:
        """After the faults; no answer is a finding then."""
        for model in MODELS:
            await self._compare(model, final=True)

    async def _compare(self, model: str, *, final: bool) -> None:
        try:
            code, output = await self._stack.services[0].command("rebuild", model, database=self._stack.postgres.url)
        except TimeoutError:
            code, output = 1, "no answer within a minute"
        if code == 0:
            self.equal += 1
        elif "equal to the live one: NO" in output or final:
            self.findings.append(f"{model}: {output.strip()[-400:]}")
