import pytest
from assistant.pipeline import Triage
from assistant.tickets import Ticket

REFUND = Ticket(
    "ada@example.com",
    "Where is my money?",
    "I sent the bike back on Monday (LB-310442) and still wait for the refund.\nAda Brandt",
)
AWAY = Ticket("ben@example.com", "Automatic reply: your order", "I am away until Monday.")

EMAIL = """\
From: Ada Brandt <ada@example.com>
Subject: Where is my money?

I sent the bike back on Monday.
"""


@pytest.mark.vcr
@pytest.mark.crashlens(task="classification")
def test_refund_is_a_billing_ticket(assistant):
    assert assistant.classify(REFUND) == "billing"


@pytest.mark.vcr
def test_article_is_found_by_meaning(assistant):
    assert assistant.find_article(REFUND) == "returns"


@pytest.mark.vcr
def test_triage_names_category_and_article(assistant):
    battery = Ticket(
        "cem@example.com", "Battery", "My Lumen City charges to 3 % and then stops. Cem"
    )
    assert assistant.triage(battery) == Triage("repair", "battery")


def test_automatic_mail_needs_no_model(assistant):
    assert assistant.triage(AWAY) == Triage("other", None)


def test_email_is_read():
    ticket = Ticket.from_email(EMAIL)
    assert ticket.subject == "Where is my money?"
    assert ticket.text == "I sent the bike back on Monday."
