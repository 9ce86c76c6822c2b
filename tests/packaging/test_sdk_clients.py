"""Which HTTP library an SDK uses does not depend on httpx2, which comes with our dependencies.

Some SDKs are on httpx, some on httpx2, and some use whichever they find: then installing the plugin
would change what the tests run on.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires

import pytest

CLIENTS = {
    "openai": """
from openai import AsyncOpenAI, OpenAI
clients = [OpenAI(api_key="k")._client, AsyncOpenAI(api_key="k")._client]
""",
    "anthropic": """
from anthropic import Anthropic, AsyncAnthropic
clients = [Anthropic(api_key="k")._client, AsyncAnthropic(api_key="k")._client]
""",
    "google-genai": """
from google.genai import Client
api = Client(api_key="k")._api_client
clients = [api._httpx_client, api._async_httpx_client]
""",
}

HIDDEN = "import sys\nsys.modules['httpx2'] = None\n"
BASES = """
import json
print(json.dumps([
    [f"{base.__module__}.{base.__qualname__}" for base in type(client).__mro__]
    for client in clients
]))
"""


def default_clients(make: str) -> list[list[str]]:
    """The names of the base classes of the clients that ``make`` puts into ``clients``."""
    command = [sys.executable, "-W", "ignore", "-c", make + BASES]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def needs(sdk: str) -> set[str]:
    """What ``sdk`` requires without extras."""
    try:
        lines = requires(sdk) or []
    except PackageNotFoundError:
        pytest.skip(f"{sdk} is not installed")
    return {re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line}


@pytest.mark.parametrize("sdk", CLIENTS)
def test_default_clients_do_not_depend_on_httpx2_being_there(sdk: str) -> None:
    if "httpx2" in needs(sdk):
        pytest.skip(f"{sdk} requires httpx2 itself")
    assert default_clients(CLIENTS[sdk]) == default_clients(HIDDEN + CLIENTS[sdk])


@pytest.mark.parametrize("sdk", CLIENTS)
def test_default_clients_are_of_a_library_we_see(sdk: str) -> None:
    library = "httpx2" if "httpx2" in needs(sdk) else "httpx"
    for bases, name in zip(default_clients(CLIENTS[sdk]), ("Client", "AsyncClient"), strict=True):
        assert {f"{library}.{name}", f"{library}._client.{name}"} & set(bases)
