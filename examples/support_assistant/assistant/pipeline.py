"""What the assistant does with a ticket and with a thread."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from anthropic import Anthropic, AsyncAnthropic
from openai import OpenAI

from assistant.config import Settings, prompt, settings
from assistant.tickets import Ticket

CATEGORIES = ("billing", "delivery", "repair", "other")
ARTICLES = {
    "returns": "How to return a bike and when the money arrives",
    "delivery-times": "Delivery times and how to change the address",
    "battery": "The battery does not charge or switches off",
}


@dataclass(frozen=True)
class Triage:
    """Where a ticket belongs and which help article fits it."""

    category: str
    article: str | None


@dataclass
class Assistant:
    """The flows of the support desk."""

    config: Settings = field(default_factory=settings)
    openai: OpenAI = field(default_factory=OpenAI)
    anthropic: Anthropic = field(default_factory=Anthropic)

    def classify(self, ticket: Ticket, guess: str | None = None) -> str:
        """One of ``CATEGORIES``; with a ``guess`` the model is asked to check it."""
        messages = [
            {"role": "system", "content": prompt("classify")},
            {"role": "user", "content": str(ticket)},
        ]
        if guess:
            messages += [
                {"role": "assistant", "content": guess},
                {"role": "user", "content": "Are you sure? Answer with the right category."},
            ]
        answer = self.openai.chat.completions.create(
            model=self.config.classify_model, messages=messages, temperature=0, max_tokens=5
        )
        label = (answer.choices[0].message.content or "").strip().lower()
        return label if label in CATEGORIES else "other"

    def find_article(self, ticket: Ticket) -> str:
        """The key of the help article nearest in meaning."""
        answer = self.openai.embeddings.create(
            model=self.config.embedding_model,
            input=[str(ticket), *ARTICLES.values()],
            dimensions=8,
            encoding_format="float",
        )
        query, *articles = (item.embedding for item in answer.data)
        nearness = (sum(a * b for a, b in zip(query, v, strict=True)) for v in articles)
        return max(zip(nearness, ARTICLES, strict=True))[1]

    def triage(self, ticket: Ticket) -> Triage:
        """Sort a ticket; automatic mail costs nothing."""
        if ticket.is_automatic:
            return Triage("other", None)
        category = self.classify(ticket)
        if self.config.double_check:
            category = self.classify(ticket, guess=category)
        return Triage(category, self.find_article(ticket))

    def _reply_request(self, ticket: Ticket) -> dict:
        return {
            "model": self.config.reply_model,
            "messages": [
                {"role": "system", "content": prompt("reply")},
                {"role": "user", "content": str(ticket)},
            ],
            "max_tokens": 300,
        }

    def draft_reply(self, ticket: Ticket) -> str:
        """A reply for a colleague to check."""
        answer = self.openai.chat.completions.create(**self._reply_request(ticket))
        return answer.choices[0].message.content or ""

    def stream_reply(self, ticket: Ticket) -> Iterator[str]:
        """The same, piece by piece, for the chat window."""
        stream = self.openai.chat.completions.create(
            **self._reply_request(ticket),
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            if chunk.choices and (piece := chunk.choices[0].delta.content):
                yield piece

    async def summarise(self, thread: str) -> str:
        """Three lines for the colleague who takes over."""
        async with AsyncAnthropic() as client:
            answer = await client.messages.create(
                model=self.config.summary_model,
                system="\n\n".join(map(prompt, self.config.summary_prompts)),
                messages=[{"role": "user", "content": thread}],
                max_tokens=250,
            )
        return answer.content[0].text

    def ask_about(self, thread: str, question: str) -> str:
        """Answer a question on a thread, which the provider caches for the next question."""
        answer = self.anthropic.messages.create(
            model=self.config.follow_up_model,
            system=[
                {"type": "text", "text": prompt("follow_up")},
                {"type": "text", "text": thread, "cache_control": {"type": "ephemeral"}},
            ],
            messages=[{"role": "user", "content": question}],
            max_tokens=150,
        )
        return answer.content[0].text
