"""What the project's configuration adds to the language of the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from soc_deploy_mcp.core.config import Config, Environment
from soc_deploy_mcp.core.config.words import ENVIRONMENT_WORDS


@dataclass(frozen=True)
class Known:
    """Names that a line may use. Without services (no configuration was read) any service name is taken."""

    aliases: Mapping[str, Environment] = field(default_factory=dict)  # lower case -> environment, besides the built-in
    services: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Config) -> "Known":
        return cls(aliases=config.aliases, services=config.services)

    def environment(self, word: str) -> Environment | None:
        """`prod`, `production` and an alias of the configuration name the same environment."""
        lower = word.lower()
        return ENVIRONMENT_WORDS.get(lower) or self.aliases.get(lower)

    @property
    def environment_words(self) -> tuple[str, ...]:
        return (*ENVIRONMENT_WORDS, *self.aliases)

    def service(self, word: str) -> str | None:
        return _named(word, self.services)

    def stack(self, word: str) -> str | None:
        return _named(word, self.stacks)


NOTHING: Final = Known()


def _named(word: str, names: tuple[str, ...]) -> str | None:
    """The name as written, or the only one that differs in case alone."""
    if word in names:
        return word
    alike = [name for name in names if name.lower() == word.lower()]
    return alike[0] if len(alike) == 1 else None
