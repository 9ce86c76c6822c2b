import pytest
from assistant.tickets import Ticket

REFUND = Ticket(
    "ada@example.com",
    "Where is my money?",
    "I sent the bike back on Monday (LB-310442) and still wait for the refund.\nAda Brandt",
)
DELIVERY = Ticket(
    "dan@example.com", "Tuesday", "Nobody is at home on Tuesday. Can you come later? Dan Weiss"
)

pytestmark = [pytest.mark.vcr, pytest.mark.crashlens(task="content_generation")]


def test_reply_says_when_the_refund_arrives(assistant):
    reply = assistant.draft_reply(REFUND)
    assert "Ada" in reply
    assert "5 working days" in reply


def test_reply_is_streamed(assistant):
    pieces = list(assistant.stream_reply(DELIVERY))
    assert len(pieces) > 10
    assert "18:00" in "".join(pieces)
