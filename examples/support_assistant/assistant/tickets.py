"""Tickets, and what can be said of them without asking a model."""

from dataclasses import dataclass
from email import message_from_string


@dataclass(frozen=True)
class Ticket:
    """One message of a customer."""

    sender: str
    subject: str
    text: str

    @classmethod
    def from_email(cls, raw: str) -> "Ticket":
        """Read a plain text e-mail."""
        mail = message_from_string(raw)
        return cls(mail["from"], mail["subject"], str(mail.get_payload()).strip())

    @property
    def is_automatic(self) -> bool:
        """Out-of-office notes and bounces need no answer."""
        return self.subject.lower().startswith(("automatic reply", "undeliverable"))

    def __str__(self) -> str:
        return f"Subject: {self.subject}\n\n{self.text}"
