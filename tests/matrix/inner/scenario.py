"""The forms in which clients are asked.

Clients are made once and used in all runs; the asynchronous ones share an event loop.
"""

from __future__ import annotations

import asyncio
import json
import os

from pydantic import BaseModel

LOOP = asyncio.new_event_loop()
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


class Ticket(BaseModel):
    """What structured output is asked for."""

    title: str


def prompt(cell, **script):
    """Says which answer is wanted; no two runs say the same, as servers count failures by body."""
    usage = {"input": 900, "output": 70, "cache_read": 100}
    return json.dumps({"usage": usage, "cell": cell, "run": os.environ["TAKEN_OUT"]} | script)


class Scenario:
    """The forms, made of ``call`` and ``stream`` and their asynchronous fellows."""

    model = "gpt-4o-mini"

    def __init__(self, url, bedrock_url):
        self.url, self.bedrock_url = url, bedrock_url

    def ask(self, form, cell):
        return getattr(self, form.replace(" ", "_"))(cell)

    def messages(self, cell, **script):
        messages = [{"role": "user", "content": prompt(cell, **script)}]
        return {"model": self.model, "messages": messages}

    def forget_connections(self):
        """What was opened beneath a cassette is of no use without it, to some."""

    def sync(self, cell):
        self.call(self.asked(cell))

    def retried(self, cell):
        self.call(self.asked(cell, fail=[429]))

    def stream(self, cell):
        assert list(self.streamed(self.asked(cell)))

    def abandoned(self, cell):
        stream = self.streamed(self.asked(cell))
        next(iter(stream))
        (getattr(stream, "close", None) or stream.response.close)()

    def async_(self, cell, **script):
        LOOP.run_until_complete(self.acall(self.asked(cell, **script)))

    def async_retried(self, cell):
        self.async_(cell, fail=[429])

    def async_stream(self, cell):
        async def read():
            return [one async for one in await self.astreamed(self.asked(cell))]

        assert LOOP.run_until_complete(read())

    asked = messages


setattr(Scenario, "async", Scenario.async_)
