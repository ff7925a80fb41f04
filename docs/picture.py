"""Draw the live view of the run that is being judged now: python docs/picture.py docs/live.svg

Start `soc-deploy demo` in another terminal, with SOC_DEPLOY_HOME set to the folder `home` beside the shop it names.
"""

import sys
import time
from typing import Any

from rich.console import Console

from soc_deploy_mcp.interfaces.cli import live
from soc_deploy_mcp.interfaces.cli.link import open_link

WIDTH = 108
WAIT_S = 300


def main(path: str) -> int:
    link = open_link()
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        shown = _judged(link)
        if shown is not None:
            console = Console(record=True, width=WIDTH, file=open("/dev/null", "w"))  # noqa: SIM115
            console.print(live.picture(shown))
            console.save_svg(path, title="soc-deploy: a canary is judged")
            return 0
        time.sleep(0.3)
    print("no canary was judged in five minutes", file=sys.stderr)
    return 1


def _judged(link: Any) -> dict[str, Any] | None:
    """A canary in the middle of its evidence, if there is one now."""
    for view in link.call("runs"):
        if view["ended_at"] is None and view["strategy"] == "canary" and view["version"] == "v1.5.0":
            shown: dict[str, Any] = link.call("live", run=view["id"])
            if _is_telling(shown):
                return shown
    return None


def _is_telling(shown: dict[str, Any]) -> bool:
    board = shown["board"]
    return bool(board) and (board["weight"], board["word"]) == (50, "CONTINUE") and shown["now"] - board["since"] > 4


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
