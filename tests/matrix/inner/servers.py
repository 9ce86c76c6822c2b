"""The providers on this machine that all inner runs ask."""

import os

from tests.bedrock_server import BedrockServer
from tests.llm_server import LLMServer

LLM = LLMServer().__enter__()
BEDROCK = BedrockServer().__enter__()
os.environ.update(LLM.env)
