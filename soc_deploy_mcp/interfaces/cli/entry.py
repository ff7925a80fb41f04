"""`soc-deploy WORDS`: a subcommand, or a command line of the grammar. Standard library only up to what it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from soc_deploy_mcp.interfaces.cli.options import Command, Options, taken_off
from soc_deploy_mcp.interfaces.cli.output import show_error


def main(argv: Sequence[str]) -> int:
    """The exit code. A DeployError becomes what, why and what to type; a traceback is never a user's."""
    from soc_deploy_mcp.core.errors import DeployError

    options = Options()
    try:
        words, options = taken_off(argv)
        return _dispatch(words, options)
    except DeployError as error:
        show_error(error.to_json(), options.json)
        return int(error.exit)
    except KeyboardInterrupt:
        sys.stderr.write("\nsoc-deploy: interrupted; a run that was started goes on: soc-deploy status\n")
        return 10
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def _dispatch(words: Sequence[str], options: Options) -> int:
    if not words or words[0] in ("help", "--help", "-h"):
        from soc_deploy_mcp.interfaces.cli import helps

        return helps.show(words[1:])
    if words[0] in ("--version", "-V") and len(words) == 1:
        from soc_deploy_mcp.interfaces.daemon.hello import VERSION

        print(f"soc-deploy {VERSION}")
        return 0
    if "--help" in words:
        from soc_deploy_mcp.interfaces.cli import helps

        return helps.show(words[:1])
    command = _subcommand(words[0])
    if command is not None:
        return command(words[1:], options)
    return _line(words, options)


def _line(words: Sequence[str], options: Options) -> int:
    """A command line of the grammar; when it is refused, its first word may be a subcommand that was mistyped."""
    from soc_deploy_mcp.core.errors import DeployError
    from soc_deploy_mcp.interfaces.cli import line

    try:
        return line.run(words, options)
    except DeployError as error:
        if error.code not in ("E_TARGET", "E_NOT_A_COMMAND", "E_USAGE", "E_CONFIG_MISSING"):
            raise
        from soc_deploy_mcp.interfaces.cli import mistyped

        raise mistyped.perhaps(words, error) from None


def _subcommand(word: str) -> Command | None:
    """The function of a subcommand; imported when it is called for."""
    if word in ("status", "report", "journal", "releases", "logs"):
        from soc_deploy_mcp.interfaces.cli import looks

        return looks.COMMANDS[word]
    if word in ("pause", "resume", "promote", "abort", "approve", "reject"):
        from soc_deploy_mcp.interfaces.cli import orders

        return orders.COMMANDS[word]
    if word == "daemon":
        from soc_deploy_mcp.interfaces.cli import daemon

        return daemon.run
    if word == "init":
        from soc_deploy_mcp.interfaces.cli import init

        return init.run
    if word in ("install", "uninstall"):
        from soc_deploy_mcp.interfaces.cli.install import command

        return command.COMMANDS[word]
    if word == "completion":
        from soc_deploy_mcp.interfaces.cli import completion

        return completion.run
    if word == "demo":
        from soc_deploy_mcp.interfaces.cli.demo import scene

        return scene.run
    return None
