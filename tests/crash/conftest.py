from tests.support.fixtures import every_version, home, versions

__all__ = ["every_version", "home", "versions"]
