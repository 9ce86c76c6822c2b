"""How boto3 and plain clients of HTTP are asked: a class each, with the forms that it has."""

from __future__ import annotations

import json
import os
from contextlib import closing
from functools import cached_property
from urllib.request import Request, urlopen

from scenario import LOOP, STREAM, Scenario, prompt


class Bedrock(Scenario):
    model = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

    @cached_property
    def client(self):
        import boto3
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "total_max_attempts": 3})
        return boto3.client(
            "bedrock-runtime",
            endpoint_url=self.bedrock_url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=config,
        )

    def forget_connections(self):
        self.client.close()


class BedrockConverse(Bedrock):
    def asked(self, cell, **script):
        said = [{"role": "user", "content": [{"text": prompt(cell, **script)}]}]
        return {"modelId": self.model, "messages": said}

    def call(self, asked):
        return self.client.converse(**asked)

    def streamed(self, asked):
        return self.client.converse_stream(**asked)["stream"]


class BedrockInvoke(Bedrock):
    def asked(self, cell, **script):
        body = {"max_tokens": 9, "messages": self.messages(cell, **script)["messages"]}
        return {"modelId": self.model, "body": json.dumps(body)}

    def call(self, asked):
        with closing(self.client.invoke_model(**asked)["body"]) as body:
            return json.loads(body.read())

    def streamed(self, asked):
        return self.client.invoke_model_with_response_stream(**asked)["body"]


class Plain(Scenario):
    """A client of HTTP; the application's own loop is what tries again."""

    def __init__(self, *urls):
        super().__init__(*urls)
        self.address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"

    def retried(self, cell):
        asked = self.asked(cell, fail=[429])
        for _ in range(2):
            self.call(asked)

    def async_retried(self, cell):
        asked = self.asked(cell, fail=[429])

        async def again():
            for _ in range(2):
                await self.acall(asked)

        LOOP.run_until_complete(again())

    def abandoned(self, cell):
        lines = self.streamed(self.asked(cell))
        assert next(lines)
        lines.close()

    async def astreamed(self, asked):
        return self.alines(asked | STREAM)


class Httpx(Plain):
    @cached_property
    def library(self):
        import httpx

        return httpx

    @cached_property
    def client(self):
        return self.library.Client()

    @cached_property
    def aclient(self):
        return self.library.AsyncClient()

    def call(self, asked):
        return self.client.post(self.address, json=asked).json()

    def streamed(self, asked):
        with self.client.stream("POST", self.address, json=asked | STREAM) as response:
            yield from response.iter_lines()

    async def acall(self, asked):
        return (await self.aclient.post(self.address, json=asked)).json()

    async def alines(self, asked):
        async with self.aclient.stream("POST", self.address, json=asked) as response:
            async for line in response.aiter_lines():
                yield line


class Httpx2(Httpx):
    @cached_property
    def library(self):
        import httpx2

        return httpx2


class Aiohttp(Plain):
    async def acall(self, asked):
        async for _ in self.alines(asked):
            pass

    def async_abandoned(self, cell):
        async def give_up():
            lines = self.alines(self.asked(cell) | STREAM)
            assert await anext(lines)
            await lines.aclose()

        LOOP.run_until_complete(give_up())

    async def alines(self, asked):
        import aiohttp

        async with (
            aiohttp.ClientSession() as session,
            session.post(self.address, json=asked) as response,
        ):
            async for line in response.content:
                yield line


class Requests(Plain):
    @cached_property
    def client(self):
        import requests

        return requests.Session()

    def call(self, asked):
        return self.client.post(self.address, json=asked).json()

    def streamed(self, asked):
        with self.client.post(self.address, json=asked | STREAM, stream=True) as response:
            yield from response.iter_lines()


class Urllib(Plain):
    def call(self, asked):
        from urllib.error import HTTPError

        try:
            list(self.lines(asked))
        except HTTPError as error:
            error.close()

    def streamed(self, asked):
        return self.lines(asked | STREAM)

    def lines(self, asked):
        data, kind = json.dumps(asked).encode(), {"content-type": "application/json"}
        with urlopen(Request(self.address, data, kind)) as response:
            yield from response
