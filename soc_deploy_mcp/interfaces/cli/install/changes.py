"""What a client needs on disk: whole files of ours, and single keys in files that belong to the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Json = dict[str, "Json"] | list["Json"] | str | int | bool | None
Form = Literal["json", "jsonc"]
Keys = tuple[str, ...]  # names from the top of a JSON file down to one key


@dataclass(frozen=True)
class File:
    path: str  # relative to the project or the home directory, or absolute
    text: str


@dataclass(frozen=True)
class Key:
    path: str
    form: Form
    keys: Keys
    value: Json
    blank: str  # the text of a new file, before any key of ours is in it
    choice: bool = False  # the user may have chosen another value, which then stays


Change = File | Key


class Refused(Exception):
    """A file that is left alone, and why."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.path = path
