"""One action that a page offers, in the words of its reader."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UserAction:
    """One action: `verb` is its place in the address, `consequence` says what it will do before it is done."""

    verb: str
    label: str
    question: str
    consequence: str
    done: str
    destructive: bool = False
    in_all: bool = False
    """Whether it is about every environment, so that nobody is asked which."""
