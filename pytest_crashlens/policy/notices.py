"""Reads where messages go: ``slack:``, ``webhook:``, and the channels of rules and budgets.

A webhook's URL is a secret: the file has the name of the environment variable that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pytest_crashlens.policy.config import NOTIFY, Budget, Rule
from pytest_crashlens.policy.document import Scalar
from pytest_crashlens.policy.field import Field

SLACK_KEYS = ("webhooks",)
CHANNEL = r"#[a-z0-9_-]{1,80}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,99}"


def read_channel(given: Field) -> str | None:
    """A Slack channel."""
    return given.text(pattern=CHANNEL, example='"#llm-costs"')


def check_channel(actions: Iterable[str], fields: Mapping[str, Field], what: str) -> None:
    """Note a ``what`` that notifies nobody."""
    if NOTIFY in actions and "actions" in fields and "alert_channel" not in fields:
        fields["actions"].error(
            f'{NOTIFY} needs a channel; add alert_channel: "#..." to the {what}'
        )


def read_webhooks(given: Field) -> dict[str, str]:
    """The environment variables of the channels; what is wrong with them is noted."""
    fields = given.fields(SLACK_KEYS, required=SLACK_KEYS)
    found: dict[str, str] = {}
    for key, field in (fields["webhooks"].entries() or ()) if "webhooks" in fields else ():
        if not re.fullmatch(CHANNEL, key.text):
            field.error('expected a channel such as "#llm-costs" before the colon, in quotes')
        variable = read_variable(field)
        if variable is not None:
            found[key.text] = variable
    return found


def read_variable(given: Field) -> str | None:
    """The name of an environment variable; what could be a secret is not repeated."""
    node = given.node
    if isinstance(node, Scalar) and node.kind != "null" and not re.fullmatch(VARIABLE, node.text):
        what = "a URL, which is a secret" if "://" in node.text else "no such name"
        given.error(
            "expected the name of an environment variable such as SLACK_WEBHOOK_COSTS, found "
            f"{what}; put the URL into a variable and name that here"
        )
        return None
    return given.text(example="SLACK_WEBHOOK_COSTS")


def warn_of_channels(
    given: Field, notifying: Iterable[Rule | Budget], webhooks: Mapping[str, str]
) -> None:
    """Warn at ``given`` of the channels that its rules or budgets notify in vain."""
    channels = {one.alert_channel for one in notifying if NOTIFY in one.actions}
    if silent := sorted(channel for channel in channels - webhooks.keys() if channel):
        given.warn(
            f"no webhook is configured: messages for {', '.join(silent)} are shown in the report "
            f'and not sent; to send them add slack: {{webhooks: {{"{silent[0]}": THE_NAME_OF_AN_'
            "ENVIRONMENT_VARIABLE}}"
        )
