"""What a Node project says of itself in package.json."""

import re
import shlex

from soc_deploy_mcp.tools.project.files import Files, table
from soc_deploy_mcp.tools.project.guess import Argv, Guess, Served, Suite

_MANIFEST = "package.json"
_LOCKS = (
    ("pnpm-lock.yaml", "pnpm", ("pnpm", "install", "--frozen-lockfile")),
    ("yarn.lock", "yarn", ("yarn", "install", "--frozen-lockfile")),
    ("bun.lock", "bun", ("bun", "install", "--frozen-lockfile")),
    ("bun.lockb", "bun", ("bun", "install", "--frozen-lockfile")),
    ("package-lock.json", "npm", ("npm", "ci")),
    ("npm-shrinkwrap.json", "npm", ("npm", "ci")),
)
_NO_TEST = "no test specified"  # what `npm init` writes
_READS_PORT = r"process\.env(?:\.PORT\b|\[\s*[\"']PORT[\"']\s*\])"


class Node:
    def __init__(self, files: Files) -> None:
        self.files = files
        self.manifest = files.json(_MANIFEST)
        self.scripts = {k: v for k, v in table(self.manifest, "scripts").items() if isinstance(v, str)}

    @property
    def found(self) -> bool:
        return bool(self.manifest)

    @property
    def manager(self) -> str:
        return next((manager for lock, manager, _ in _LOCKS if self.files.has(lock)), "npm")

    def name(self) -> Guess[str] | None:
        name = self.manifest.get("name")
        return Guess(name.rpartition("/")[2], _MANIFEST) if isinstance(name, str) and name else None

    def prepare(self) -> tuple[Argv, ...]:
        """The locked installation, and the build where there is one."""
        needs = table(self.manifest, "dependencies") or table(self.manifest, "devDependencies")
        locked = next((argv for lock, _, argv in _LOCKS if self.files.has(lock)), ("npm", "install"))
        build = ((self.manager, "run", "build"),) if "build" in self.scripts else ()
        return (*((locked,) if needs else ()), *build)

    def serve(self) -> Guess[Served] | None:
        start = self.scripts.get("start", "")
        if "next start" in start:
            argv = ("node_modules/.bin/next", "start", "--hostname", "127.0.0.1", "--port", "{port}")
            return Guess(Served(argv), _MANIFEST, f"scripts.start: {start}")
        if start:
            return Guess(Served(self._direct(start), reads_port_env=True), _MANIFEST, f"scripts.start: {start}")
        main = self.manifest.get("main")
        names = [main] if isinstance(main, str) else []
        for name in (*names, "server.js", "index.js", "app.js", "server.mjs"):
            if re.search(_READS_PORT, self.files.text(name)):
                return Guess(Served(("node", name), reads_port_env=True), name, "it reads process.env.PORT")
        return None

    def _direct(self, start: str) -> Argv:
        """`node server.js` is started without npm between: signals reach it."""
        try:
            words = tuple(shlex.split(start))
        except ValueError:
            words = ()
        plain = words[:1] == ("node",) and not re.search(r"[&|;<>$`]", start)
        return words if plain else (self.manager, "run", "start")

    def suite(self) -> Suite | None:
        script = self.scripts.get("test", "")
        if not script or _NO_TEST in script:
            return None
        return Suite((self.manager, "run", "test"), _MANIFEST, self.prepare()[:1])
