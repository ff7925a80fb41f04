"""`soc-deploy serve` in front of the daemon of fake_daemon.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from soc_deploy_mcp.interfaces.daemon import shim

FAKE = (sys.executable, "-P", str(Path(__file__).parent / "fake_daemon.py"))

if __name__ == "__main__":
    sys.exit(shim.main(sys.argv[1:], daemon=(*FAKE, "daemon"), in_process=(*FAKE, "serve")))
