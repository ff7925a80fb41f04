"""The base of the nouns that are written to the journal: frozen, closed, plain JSON."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Noun(BaseModel):
    """Immutable, and a key that the model does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values only; `from_json` gives an equal noun back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Any) -> Self:
        return cls.model_validate(data)
