"""How many file descriptors the machine grants, and how many connections the router may take with them."""

import resource

ROUTER_OWN_FILES = 512
MIN_CONNECTIONS = 16


def hard_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


def allowed_connections(wanted: int) -> int:
    """Each connection of a user may need one upstream: two descriptors. Lower than wanted where the limit is low."""
    return max(MIN_CONNECTIONS, min(wanted, (hard_files() - ROUTER_OWN_FILES) // 2))
