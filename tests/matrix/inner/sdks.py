"""How each SDK is asked: a class each, with the forms that it has."""

from __future__ import annotations

from functools import cached_property

from scenario import STREAM, Scenario, Ticket, prompt


class OpenAIChat(Scenario):
    @cached_property
    def client(self):
        import openai

        return openai.OpenAI()

    @cached_property
    def aclient(self):
        import openai

        return openai.AsyncOpenAI()

    def call(self, asked):
        return self.client.chat.completions.create(**asked)

    def streamed(self, asked):
        return self.client.chat.completions.create(**asked, **STREAM)

    async def acall(self, asked):
        return await self.aclient.chat.completions.create(**asked)

    async def astreamed(self, asked):
        return await self.aclient.chat.completions.create(**asked, **STREAM)

    def raw(self, cell):
        asked = self.asked(cell)
        assert self.client.chat.completions.with_raw_response.create(**asked).parse().usage

    def parse(self, cell):
        asked = self.asked(cell, text='{"title": "one"}')
        self.client.chat.completions.parse(**asked, response_format=Ticket)


class OpenAIOverHttpx(OpenAIChat):
    @cached_property
    def client(self):
        import httpx
        import openai

        return openai.OpenAI(http_client=httpx.Client())

    @cached_property
    def aclient(self):
        import httpx
        import openai

        return openai.AsyncOpenAI(http_client=httpx.AsyncClient())


class OpenAIOverAiohttp(OpenAIChat):
    @cached_property
    def aclient(self):
        import openai

        return openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient())


class OpenAIResponses(OpenAIChat):
    def asked(self, cell, **script):
        return {"model": self.model, "input": prompt(cell, **script)}

    def call(self, asked):
        return self.client.responses.create(**asked)

    def streamed(self, asked):
        return self.client.responses.create(**asked, stream=True)

    async def acall(self, asked):
        return await self.aclient.responses.create(**asked)

    async def astreamed(self, asked):
        return await self.aclient.responses.create(**asked, stream=True)

    def raw(self, cell):
        assert self.client.responses.with_raw_response.create(**self.asked(cell)).parse().usage

    def parse(self, cell):
        asked = self.asked(cell, text='{"title": "one"}')
        self.client.responses.parse(**asked, text_format=Ticket)


class Anthropic(Scenario):
    model = "claude-haiku-4-5"

    @cached_property
    def client(self):
        import anthropic

        return anthropic.Anthropic()

    @cached_property
    def aclient(self):
        import anthropic

        return anthropic.AsyncAnthropic()

    def asked(self, cell, **script):
        return self.messages(cell, **script) | {"max_tokens": 100}

    def call(self, asked):
        return self.client.messages.create(**asked)

    def streamed(self, asked):
        return self.client.messages.create(**asked, stream=True)

    async def acall(self, asked):
        return await self.aclient.messages.create(**asked)

    async def astreamed(self, asked):
        return await self.aclient.messages.create(**asked, stream=True)

    def raw(self, cell):
        assert self.client.messages.with_raw_response.create(**self.asked(cell)).parse().usage

    def parse(self, cell):
        asked = self.asked(cell, text='{"title": "one"}')
        self.client.messages.parse(**asked, output_format=Ticket)


class Gemini(Scenario):
    model = "gemini-2.5-flash"

    @cached_property
    def client(self):
        from google import genai
        from google.genai.types import HttpOptions, HttpRetryOptions

        retries = HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.002)
        options = HttpOptions(base_url=self.url, retry_options=retries)
        return genai.Client(api_key="k", http_options=options)

    def asked(self, cell, **script):
        return {"model": self.model, "contents": prompt(cell, **script)}

    def call(self, asked):
        return self.client.models.generate_content(**asked)

    def streamed(self, asked):
        return self.client.models.generate_content_stream(**asked)

    async def acall(self, asked):
        return await self.client.aio.models.generate_content(**asked)

    async def astreamed(self, asked):
        return await self.client.aio.models.generate_content_stream(**asked)

    def parse(self, cell):
        config = {"response_mime_type": "application/json", "response_schema": Ticket}
        asked = self.asked(cell, text='{"title": "one"}')
        assert self.call(asked | {"config": config}).parsed.title == "one"


class Mistral(Scenario):
    model = "mistral-small"

    @cached_property
    def client(self):
        try:
            from mistralai.client import Mistral
            from mistralai.client.utils import BackoffStrategy, RetryConfig
        except ImportError:  # until version 1
            from mistralai import Mistral
            from mistralai.utils import BackoffStrategy, RetryConfig

        retries = RetryConfig("backoff", BackoffStrategy(1, 2, 1.0, 10_000), False)
        return Mistral(api_key="k", server_url=f"{self.url}/mistral", retry_config=retries)

    def call(self, asked):
        return self.client.chat.complete(**asked)

    def streamed(self, asked):
        return self.client.chat.stream(**asked)

    async def acall(self, asked):
        return await self.client.chat.complete_async(**asked)

    async def astreamed(self, asked):
        return await self.client.chat.stream_async(**asked)

    def parse(self, cell):
        self.client.chat.parse(Ticket, **self.asked(cell, text='{"title": "one"}'))


class Cohere(Scenario):
    model = "command-r"

    @cached_property
    def client(self):
        import cohere

        return cohere.ClientV2("k", base_url=self.url)

    @cached_property
    def aclient(self):
        import cohere

        return cohere.AsyncClientV2("k", base_url=self.url)

    def call(self, asked):
        return self.client.chat(**asked)

    def streamed(self, asked):
        return self.client.chat_stream(**asked)

    async def acall(self, asked):
        return await self.aclient.chat(**asked)

    async def astreamed(self, asked):
        return self.aclient.chat_stream(**asked)

    def raw(self, cell):
        assert self.client.with_raw_response.chat(**self.asked(cell)).data.usage


class Groq(OpenAIChat):
    model = "llama-3.1-8b"

    @cached_property
    def client(self):
        import groq

        return groq.Groq(api_key="k", base_url=self.url)

    @cached_property
    def aclient(self):
        import groq

        return groq.AsyncGroq(api_key="k", base_url=self.url)

    def streamed(self, asked):
        return self.client.chat.completions.create(**asked, stream=True)

    async def astreamed(self, asked):
        return await self.aclient.chat.completions.create(**asked, stream=True)


class Together(Groq):
    @cached_property
    def client(self):
        import together

        return together.Together(api_key="k", base_url=f"{self.url}/together")

    @cached_property
    def aclient(self):
        import together

        return together.AsyncTogether(api_key="k", base_url=f"{self.url}/together")


class Ollama(Scenario):
    model = "gemma3:1b"

    @cached_property
    def client(self):
        import ollama

        return ollama.Client(self.url)

    @cached_property
    def aclient(self):
        import ollama

        return ollama.AsyncClient(self.url)

    def call(self, asked):
        return self.client.chat(**asked)

    def streamed(self, asked):
        return self.client.chat(**asked, stream=True)

    async def acall(self, asked):
        return await self.aclient.chat(**asked)

    async def astreamed(self, asked):
        return await self.aclient.chat(**asked, stream=True)


class LitellmAnthropic(Scenario):
    model = "anthropic/claude-haiku-4-5"

    def asked(self, cell, **script):
        base = {"api_base": self.url, "api_key": "k", "num_retries": 2}
        return self.messages(cell, **script) | base

    def call(self, asked):
        import litellm

        return litellm.completion(**asked)

    def streamed(self, asked):
        return self.call(asked | STREAM)

    async def acall(self, asked):
        import litellm

        return await litellm.acompletion(**asked)

    async def astreamed(self, asked):
        return await self.acall(asked | STREAM)

    def abandoned(self, cell):
        next(iter(self.streamed(self.asked(cell))))
