"""The two clients as programs: where they are, what they are told, what they print."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.clients.policy import QUESTION

CACHE = Path(
    os.environ.get("SOC_CLIENTS_CACHE")
    or f"{os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/soc-deploy/clients"
)


class Program(ABC):
    name: str  # as `soc-deploy install --client` has it
    variable: str  # that names another binary

    @property
    def binary(self) -> str:
        return os.environ.get(self.variable) or str(CACHE / self.name)

    def missing(self) -> str:
        """Why it cannot be run; "" when it can."""
        if os.access(self.binary, os.X_OK):
            return ""
        try:
            return (CACHE / f"{self.name}.why").read_text().strip()
        except OSError:
            return f"no {self.binary}: run tests/clients/fetch.sh, or set {self.variable}"

    @abstractmethod
    def prepare(self, home: Path, url: str) -> dict[str, str]:
        """Point it at the stub model; its environment beside PATH, HOME and the like."""

    @abstractmethod
    def command(self, words: Sequence[str]) -> list[str]:
        """argv for `/soc-deploy WORDS`, without a person."""

    @abstractmethod
    def question(self) -> list[str]:
        """argv for a plain question; only tools that look are allowed."""

    @abstractmethod
    def said(self, output: str) -> str:
        """The model's words, as the client printed them."""

    @abstractmethod
    def typed(self, words: Sequence[str]) -> str:
        """What the client puts in for $ARGUMENTS."""


class OpenCode(Program):
    name, variable = "opencode", "SOC_OPENCODE_BIN"

    def prepare(self, home: Path, url: str) -> dict[str, str]:
        config = home / ".config" / "opencode" / "opencode.json"
        config.parent.mkdir(parents=True)
        provider = {
            "npm": "@ai-sdk/openai-compatible",  # comes with OpenCode
            "name": "Stub",
            "options": {"baseURL": f"{url}/v1", "apiKey": "dummy"},
            "models": {
                "stub-model": {"name": "stub", "tool_call": True, "limit": {"context": 200_000, "output": 8192}}
            },
        }
        model = "stub/stub-model"
        off = {"autoupdate": False, "share": "disabled"}
        config.write_text(json.dumps({"model": model, "small_model": model, "provider": {"stub": provider}, **off}))
        names = ("OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_LSP_DOWNLOAD")
        return {**dict.fromkeys(names, "1"), "npm_config_offline": "true"}  # else npm runs at every start

    def command(self, words: Sequence[str]) -> list[str]:
        return [self.binary, "run", "--format", "json", "--command", "soc-deploy", "--", *words]

    def question(self) -> list[str]:
        return [self.binary, "run", "--format", "json", QUESTION]

    def said(self, output: str) -> str:
        return "\n".join(each["part"]["text"] for each in _lines(output) if each.get("type") == "text")

    def typed(self, words: Sequence[str]) -> str:
        """Words with blanks or quotes in them get quotes."""
        return " ".join(json.dumps(word, ensure_ascii=False) if set(word) & set(" \n\"'") else word for word in words)


class ClaudeCode(Program):
    name, variable = "claude", "SOC_CLAUDE_BIN"

    def prepare(self, home: Path, url: str) -> dict[str, str]:
        on = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER")
        return {
            **dict.fromkeys(on, "1"),
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "dummy-key",
            "ENABLE_TOOL_SEARCH": "false",
            "MCP_CONNECTION_NONBLOCKING": "0",
            "MCP_CONNECT_TIMEOUT_MS": "60000",
        }

    def command(self, words: Sequence[str]) -> list[str]:
        return self._print(f"/soc-deploy {' '.join(words)}")

    def question(self) -> list[str]:
        return [*self._print(QUESTION), "--allowedTools", "mcp__soc-deploy__status"]

    def _print(self, text: str) -> list[str]:
        return [self.binary, "-p", text, "--output-format", "stream-json", "--verbose"]

    def said(self, output: str) -> str:
        return "\n".join(str(each["result"]) for each in _lines(output) if each.get("type") == "result")

    def typed(self, words: Sequence[str]) -> str:
        return " ".join(words)


def _lines(output: str) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


PROGRAMS = (OpenCode(), ClaudeCode())
