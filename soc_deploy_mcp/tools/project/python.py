"""What a Python project says of itself: dependencies, how it is served, how it is tested."""

import re
from collections.abc import Collection
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from soc_deploy_mcp.tools.project.files import Files, table, words
from soc_deploy_mcp.tools.project.guess import Argv, Guess, Served, Suite

VENV: Final = ".venv"
TOOLS: Final = frozenset(
    {"python", "python3", "uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress-serve", "flask", "pytest"}
)
_ASGI: Final = ("FastAPI", "Starlette", "Litestar", "Quart", "BlackSheep")
_WSGI: Final = ("Flask", "Bottle")
_HOST: Final = "127.0.0.1"
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_TEST_EXTRAS: Final = ("test", "tests", "testing", "dev")
_TEST_REQUIREMENTS: Final = (
    *("requirements-test.txt", "requirements-tests.txt", "requirements-dev.txt", "test-requirements.txt"),
    *("dev-requirements.txt", "requirements_dev.txt", "requirements/test.txt", "requirements/dev.txt"),
)


class Python:
    """Guesses about a Python project. `tools` are the programs this machine has (`uv`)."""

    def __init__(self, files: Files, tools: Collection[str]) -> None:
        self.files, self.tools, self.uv = files, tools, "uv" in tools
        self.pyproject = files.toml("pyproject.toml")

    @property
    def found(self) -> bool:
        manifest = self.files.first("pyproject.toml", "requirements.txt", "setup.py", "Pipfile", "manage.py")
        return manifest is not None or any(name.endswith(".py") and "/" not in name for name in self.files.sources)

    @cached_property
    def requirements(self) -> dict[str, str]:
        """Name of each direct dependency -> the file that says so."""
        named: dict[str, str] = {}
        for file in ("requirements.txt", "requirements/base.txt", "requirements/prod.txt"):
            for line in self.files.text(file).splitlines():
                if match := _REQUIREMENT.match(line):
                    named.setdefault(_normal(match[1]), file)
        for line in words(table(self.pyproject, "project").get("dependencies")):
            if match := _REQUIREMENT.match(line):
                named.setdefault(_normal(match[1]), "pyproject.toml")
        for name in table(self.pyproject, "tool", "poetry", "dependencies"):
            if name != "python":
                named.setdefault(_normal(name), "pyproject.toml")
        return named

    @property
    def interpreter(self) -> str:
        return f"{VENV}/bin/python" if self.requirements else "python3"

    def name(self) -> Guess[str] | None:
        project = table(self.pyproject, "project") or table(self.pyproject, "tool", "poetry")
        name = project.get("name")
        return Guess(name, "pyproject.toml") if isinstance(name, str) and name else None

    def prepare(self, more: tuple[Argv, ...] = ()) -> tuple[Argv, ...]:
        """What makes the environment: nothing without dependencies, uv where it is there, else venv and pip."""
        if not self.requirements and not more:
            return ()
        if self.uv and self.files.has("uv.lock"):
            return (("uv", "sync", "--frozen"), *((*self._pip(), *argv) for argv in more))
        make = ("uv", "venv", VENV) if self.uv else ("python3", "-m", "venv", VENV)
        installs = [*self._install(), *more]
        return (make, *((*self._pip(), *argv) for argv in installs))

    def _pip(self) -> Argv:
        if self.uv:
            return ("uv", "pip", "install", "--python", VENV)
        return (f"{VENV}/bin/python", "-m", "pip", "install", "--quiet")

    def _install(self) -> list[Argv]:
        if not self.requirements:
            return []
        file = next(iter(self.requirements.values()))
        return [(".",)] if file == "pyproject.toml" else [("-r", file)]

    def serve(self) -> Guess[Served] | None:
        """Framework in the source first, then a plain script that takes a port."""
        return self._django() or self._application() or self._script()

    def _django(self) -> Guess[Served] | None:
        match = re.search(r"""DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)""", self.files.text("manage.py"))
        if not match:
            return None
        package = match[1].split(".")[0]
        argv: Argv
        if "gunicorn" in self.requirements:
            argv = (self._tool("gunicorn"), "--bind", f"{_HOST}:{{port}}", f"{package}.wsgi:application")
        elif "uvicorn" in self.requirements:
            argv = (self._tool("uvicorn"), f"{package}.asgi:application", "--host", _HOST, "--port", "{port}")
        else:
            argv = (self.interpreter, "manage.py", "runserver", "--noreload", f"{_HOST}:{{port}}")
        return Guess(Served(argv), "manage.py", "a Django project")

    def _application(self) -> Guess[Served] | None:
        for frameworks, serve in ((_ASGI, self._asgi), (_WSGI, self._wsgi)):
            pattern = rf"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)?({'|'.join(frameworks)})\("
            for name, match in self.files.search(pattern, ".py"):
                folder, module = _module(name)
                argv = serve(folder, f"{module}:{match[1]}")
                return Guess(Served(argv), name, f"{match[1]} = {match[2]}(…)")
        return None

    def _asgi(self, folder: str, app: str) -> Argv:
        if "uvicorn" not in self.requirements and "hypercorn" in self.requirements:
            return (self._tool("hypercorn"), "--bind", f"{_HOST}:{{port}}", app)
        where = ("--app-dir", folder) if folder else ()
        return (self._tool("uvicorn"), app, "--host", _HOST, "--port", "{port}", *where)

    def _wsgi(self, folder: str, app: str) -> Argv:
        if "gunicorn" in self.requirements:
            where = ("--chdir", folder) if folder else ()
            return (self._tool("gunicorn"), "--bind", f"{_HOST}:{{port}}", *where, app)
        if "waitress" in self.requirements:
            return (self._tool("waitress-serve"), f"--listen={_HOST}:{{port}}", app)
        return (self.interpreter, "-m", "flask", "--app", app, "run", "--host", _HOST, "--port", "{port}")

    def _script(self) -> Guess[Served] | None:
        names = ("server.py", "app.py", "main.py", "wsgi.py", "run.py", "serve.py")
        for name in sorted((n for n in self.files.sources if n in names), key=names.index):
            text = self.files.text(name)
            if match := re.search(r"""add_argument\(\s*(?:["']-\w["'],\s*)?["'](--(?:http-)?port)["']""", text):
                return Guess(Served((self.interpreter, name, match[1], "{port}")), name, f"it takes {match[1]}")
            if re.search(r"""(?:environ(?:\.get)?|getenv)\s*[\[(]\s*["']PORT["']""", text):
                return Guess(Served((self.interpreter, name), reads_port_env=True), name, "it reads PORT")
            if re.search(r"int\(\s*(?:sys\.)?argv\[1\]", text):
                return Guess(Served((self.interpreter, name, "{port}")), name, "its first argument is the port")
        return None

    def _tool(self, name: str) -> str:
        return f"{VENV}/bin/{name}"

    def suite(self) -> Suite | None:
        """pytest where it is set up, else unittest where there are tests."""
        if source := self._says_pytest():
            if not self.requirements and "pytest" in self.tools:
                return Suite(("pytest", "-q"), source)
            return Suite((f"{VENV}/bin/python", "-m", "pytest", "-q"), source, self.prepare(self._test_packages()))
        for folder in ("tests", "test"):
            if any((self.files.root / folder).glob("test*.py")):
                top = ("-t", ".") if self.files.has(f"{folder}/__init__.py") else ()
                argv = (self.interpreter, "-m", "unittest", "discover", "-s", folder, *top)
                return Suite(argv, f"{folder}/", self.prepare())
        if beside := next(iter(sorted(self.files.root.glob("test_*.py"))), None):
            return Suite((self.interpreter, "-m", "unittest", "discover"), beside.name, self.prepare())
        return None

    def _test_packages(self) -> tuple[Argv, ...]:
        """What pytest needs besides: arguments of pip, one tuple an installation."""
        if file := self.files.first(*_TEST_REQUIREMENTS):
            return (("-r", file),)
        extras = table(self.pyproject, "project", "optional-dependencies")
        if extra := next((name for name in _TEST_EXTRAS if name in extras), None):
            return ((f".[{extra}]",),)
        groups = table(self.pyproject, "dependency-groups")
        group = next((words(groups[name]) for name in _TEST_EXTRAS if name in groups), ())
        if group:
            return (group,)
        return () if "pytest" in self.requirements else (("pytest",),)

    def _says_pytest(self) -> str | None:
        if table(self.pyproject, "tool", "pytest"):
            return "pyproject.toml"
        for name, section in (("pytest.ini", "[pytest]"), ("tox.ini", "[pytest]"), ("setup.cfg", "[tool:pytest]")):
            if section in self.files.text(name):
                return name
        if found := self.files.first("conftest.py", "tests/conftest.py"):
            return found
        if "pytest" in self.requirements:
            return self.requirements["pytest"]
        for name in _TEST_REQUIREMENTS:
            if re.search(r"^pytest\b", self.files.text(name), re.MULTILINE):
                return name
        extras = table(self.pyproject, "project", "optional-dependencies")
        groups = table(self.pyproject, "dependency-groups")
        listed = [line for lists in (extras, groups) for values in lists.values() for line in words(values)]
        return "pyproject.toml" if any(re.match(r"pytest\b", line) for line in listed) else None


def _module(name: str) -> tuple[str, str]:
    """`src/shop/main.py` -> ("src", "shop.main"): the folder to start in, and the module seen from there."""
    parts = PurePosixPath(name).with_suffix("").parts
    folder = parts[0] if parts[0] == "src" and len(parts) > 1 else ""
    dotted = [part for part in (parts[1:] if folder else parts) if part != "__init__"]
    return folder, ".".join(dotted)


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
