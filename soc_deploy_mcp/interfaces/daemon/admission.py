"""Whether a daemon takes a client of another version. A pure decision; rows are tried top to bottom."""

from soc_deploy_mcp.interfaces.daemon.hello import PROTOCOL, Ack, Hello


def admit(hello: Hello, version: str, pid: int, open_run: str | None) -> Ack:
    """`open_run`: a run that must not be interrupted, None when there is none.

    | client                                              | answer                                            |
    |-----------------------------------------------------|---------------------------------------------------|
    | same version and protocol                           | yes                                               |
    | same protocol, and a run is open                    | yes; every answer names both versions             |
    | same protocol, and it was served before the loss    | yes: two sessions must not take turns to replace  |
    | other protocol, and a run is open                   | no: E_DAEMON_OLDER                                |
    | other version, nothing is open                      | retry: this daemon leaves, the client starts its own |
    """
    same_protocol = hello.protocol == PROTOCOL
    if same_protocol and (hello.version == version or open_run is not None or hello.again):
        return Ack(True, version, pid)
    if open_run is None:
        what = f"The daemon is version {version}, this client {hello.version}; the daemon makes room."
        return Ack(False, version, pid, "E_DAEMON_OLDER", what, retry=True)
    return Ack(
        False,
        version,
        pid,
        "E_DAEMON_OLDER",
        f"The daemon is version {version} and does not understand version {hello.version}.",
        f"{open_run} is open: wait for it, or stop the daemon; the run resumes in the new version",
        "soc-deploy daemon stop --force",
    )
