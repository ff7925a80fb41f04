"""Draw the live view of the run that is being judged now: python docs/picture.py docs/live.svg

Start `soc-deploy demo` in another terminal, with SOC_DEPLOY_HOME set to the home it names.
"""

import sys
import time

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


def _judged(link: object) -> dict[str, object] | None:
    """A canary in the middle of its evidence, if there is one now."""
    for view in link.call("runs"):  # type: ignore[attr-defined]
        if view["ended_at"] is None and view["strategy"] == "canary" and view["version"] == "v1.5.0":
            shown: dict[str, object] = link.call("live", run=view["id"])  # type: ignore[attr-defined]
            board = shown["board"]
            if isinstance(board, dict) and board.get("weight") == 50 and shown["now"] - board["since"] > 2:  # type: ignore[operator]
                return shown
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
