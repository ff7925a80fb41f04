"""Go modules, Procfile, Dockerfile and Makefile: what they say about starting and testing."""

import json
import re
import shlex
from pathlib import PurePosixPath

from soc_deploy_mcp.tools.project.files import Files
from soc_deploy_mcp.tools.project.guess import Argv, Guess, Served, Suite
from soc_deploy_mcp.tools.project.python import TOOLS, VENV

_SHELL = re.compile(r"[&|;<>`]|\$\(")
_PORT = re.compile(r"\$\{PORT(?::-?\d+)?\}|\$PORT\b")


class Go:
    def __init__(self, files: Files) -> None:
        self.files = files

    @property
    def found(self) -> bool:
        return self.files.has("go.mod")

    def name(self) -> Guess[str] | None:
        match = re.search(r"^module\s+(\S+)", self.files.text("go.mod"), re.MULTILINE)
        return Guess(re.sub(r"/v\d+$", "", match[1]).rpartition("/")[2], "go.mod") if match else None

    def _main(self) -> str | None:
        """The package that is a program: the top, else the first below cmd/."""
        mains = [name for name, _ in self.files.search(r"^package main\b", ".go") if not name.endswith("_test.go")]
        near = [name for name in mains if "/" not in name] or [name for name in mains if name.startswith("cmd/")]
        return str(PurePosixPath((near or mains)[0]).parent) if mains else None

    def prepare(self) -> tuple[Argv, ...]:
        package = self._main()
        return (("go", "build", "-o", "bin/app", f"./{package}" if package != "." else "."),) if package else ()

    def serve(self) -> Guess[Served] | None:
        if self._main() is None:
            return None
        for flag, value in (("addr|listen", "127.0.0.1:{port}"), ("port", "{port}")):
            for name, match in self.files.search(rf"flag\.\w+\([^\n]*\"({flag})\"", ".go"):
                return Guess(Served(("bin/app", f"-{match[1]}", value)), name, f"it takes -{match[1]}")
        for name, _ in self.files.search(r"os\.(?:Getenv|LookupEnv)\(\"PORT\"\)", ".go"):
            return Guess(Served(("bin/app",), reads_port_env=True), name, "it reads PORT")
        return None

    def suite(self) -> Suite | None:
        return Suite(("go", "test", "-v", "./..."), "go.mod") if self.found else None


def procfile(files: Files, venv: bool) -> Guess[Served] | None:
    """The `web` process; $PORT becomes {port}, every interface becomes this machine."""
    match = re.search(r"^web:\s*(\S.*)$", files.text("Procfile"), re.MULTILINE)
    if not match:
        return None
    line = match[1].strip()
    if _SHELL.search(line):
        return Guess(Served(("sh", "-c", line), reads_port_env=True), "Procfile", "web needs a shell")
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return Guess(_served(words, venv, None), "Procfile", "process web")


def dockerfile(files: Files, venv: bool) -> Guess[Served] | None:
    """ENTRYPOINT and CMD, as a hint: what an image starts is often near to what a process needs."""
    text = re.sub(r"\\\r?\n", " ", files.text("Dockerfile"))
    words = [*_instruction(text, "ENTRYPOINT"), *_instruction(text, "CMD")]
    if not words:
        return None
    exposed = re.findall(r"^EXPOSE\s+(\d+)", text, re.MULTILINE | re.IGNORECASE)
    return Guess(_served(words, venv, exposed[-1] if exposed else None), "Dockerfile", "CMD")


def _instruction(text: str, name: str) -> list[str]:
    """The words of the last ENTRYPOINT or CMD, in either form."""
    found = re.findall(rf"^\s*{name}\s+(.+)$", text, re.MULTILINE | re.IGNORECASE)
    if not found:
        return []
    last = found[-1].strip()
    try:
        if last.startswith("["):
            return [word for word in json.loads(last) if isinstance(word, str)]
        return ["sh", "-c", last] if _SHELL.search(last) else shlex.split(last)
    except ValueError:
        return []


def _served(words: list[str], venv: bool, port: str | None) -> Served:
    argv = [_PORT.sub("{port}", word).replace("0.0.0.0", "127.0.0.1") for word in words]
    if port:
        argv = [re.sub(rf"(?<!\d){port}(?!\d)", "{port}", word) for word in argv]
    if venv and argv[0] in TOOLS:
        argv[0] = f"{VENV}/bin/{argv[0]}"
    return Served(tuple(argv), reads_port_env=not any("{port}" in word for word in argv))


def makefile_suite(files: Files) -> Suite | None:
    name = files.first("GNUmakefile", "makefile", "Makefile")
    if name and re.search(r"^test\s*:(?!=)", files.text(name), re.MULTILINE):
        return Suite(("make", "test"), name)
    return None


def cargo_suite(files: Files) -> Suite | None:
    return Suite(("cargo", "test"), "Cargo.toml") if files.has("Cargo.toml") else None
