"""Entry of `soc-deploy`. Every chat starts `serve`: it goes to the standard-library shim before any other import."""

import sys


def main() -> int:
    argv = sys.argv[1:]
    if argv[:1] == ["serve"] and "--help" not in argv:
        from soc_deploy_mcp.interfaces.daemon import shim

        return shim.main(argv[1:])
    from soc_deploy_mcp.interfaces.cli import entry

    return entry.main(argv)


if __name__ == "__main__":
    sys.exit(main())
