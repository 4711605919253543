"""Regular expressions that RE2 (under the Node SDK) and Rust's engine (under the others) take for the same.

Their common ground is read here token by token. `\\d`, `\\w` and `\\s` are ASCII to the one and Unicode to the other,
so they are written out. What neither takes matches nobody; what they would take differently is refused. One
difference is let pass, because `\\b` has no other spelling: beside letters that are not ASCII its boundaries differ.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

REPEATS_MAX = 1000
PATTERN_LENGTH_MAX = 1000

WRITTEN_OUT = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
POSIX_NAMES = "alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit"
ESCAPE = r"\\(?:[tnrfv!-/:;=?@\[-`{-~]|x[0-9A-Fa-f]{2}|[pP]\{?[CLMNPSZ]\}?)"
TOKEN = re.compile(
    rf"""
    (?P<lookaround>\(\?<?[=!]) | (?P<reference>\\[1-9])
  | (?P<flags>\(\?[imsU]*(?:-[imsU]+)?\))
  | (?P<open>\((?:\?(?:P?<[A-Za-z_][A-Za-z0-9_]*>|[imsU]*(?:-[imsU]+)?:)|(?!\?)))
  | (?P<close>\)) | (?P<bar>\|) | (?P<anchor>[\^$]|\\[bAz])
  | (?P<repeat>(?:[*+?]|\{{(?P<least>\d+)(?P<more>,(?P<most>\d*))?\}})\??)
  | (?P<shorthand>\\[dwsDWS]) | (?P<class>\[) | (?P<atom>{ESCAPE}|[^\\\[\]{{}}()*+?|^$])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
MEMBER = re.compile(
    rf"(?P<posix>\[:\^?(?:{POSIX_NAMES}):\])|(?P<shorthand>\\[dws])|(?P<set>&&|--|~~)|(?P<atom>{ESCAPE}|[^\\\[\]])",
    re.DOTALL,
)


class PatternFeature(StrEnum):
    """The treatment of a pattern that can't stay as it is."""

    INVALID = "invalid"
    """None takes it, so it matches nobody."""
    DIVERGENT = "divergent"
    """They would take it differently."""


@dataclass(frozen=True, slots=True)
class PatternIssue:
    """An issue of a pattern, as a sentence."""

    fault: PatternFeature
    sentence: str


def canonical_pattern(pattern: str) -> str | PatternIssue:
    """Return the pattern as every engine reads it, or the first flaw found in it."""
    if len(pattern) > PATTERN_LENGTH_MAX:
        return PatternIssue(
            PatternFeature.DIVERGENT, f"A pattern has at most {PATTERN_LENGTH_MAX} characters, this one {len(pattern)}."
        )
    parts: list[str] = []
    for part in _PatternScanner(pattern).parts():
        if isinstance(part, PatternIssue):
            return part
        parts.append(part)
    return "".join(parts)


@dataclass(slots=True)
class _PatternScanner:
    """The state of a scan: the position, the open groups, the last token."""

    pattern: str
    place: int = 0
    depth: int = 0
    last: str = "open"
    repeats: int = 1

    def parts(self) -> Iterator[str | PatternIssue]:
        while self.place < len(self.pattern):
            found = TOKEN.match(self.pattern, self.place)
            if found is None:
                yield self._unknown()
                return
            self.place = found.end()
            yield self._class() if found.lastgroup == "class" else self._part(found)
        if self.depth > 0:
            yield PatternIssue(PatternFeature.INVALID, "A parenthesis is not closed.")

    def _part(self, found: re.Match[str]) -> str | PatternIssue:
        kind, text = str(found.lastgroup), found.group()
        if kind == "repeat" and (flaw := self._repeat_issue(found)):
            return flaw
        self.last = kind
        match kind:
            case "lookaround" | "reference":
                return PatternIssue(
                    PatternFeature.INVALID, f"{text} begins what no engine reads: look-around or a back-reference."
                )
            case "open":
                self.depth += 1
            case "close":
                self.depth -= 1
                if self.depth < 0:
                    return PatternIssue(PatternFeature.INVALID, "A parenthesis is closed that was not opened.")
            case "shorthand":
                negated = "^" if text[1].isupper() else ""
                return f"[{negated}{WRITTEN_OUT[text[1].lower()]}]"
        return text

    def _repeat_issue(self, found: re.Match[str]) -> PatternIssue | None:
        if self.last in ("open", "bar", "flags"):
            return PatternIssue(PatternFeature.INVALID, f"{found.group()} has nothing to repeat.")
        if self.last in ("repeat", "anchor"):
            return PatternIssue(
                PatternFeature.DIVERGENT, f"{found.group()} follows a repetition or an anchor; add parentheses."
            )
        if found["least"] is None:
            return None
        least, most = int(found["least"]), int(found["most"] or found["least"])
        if most < least:
            return PatternIssue(PatternFeature.INVALID, f"{found.group()} ends before it begins.")
        # Engines limit the product of nested repetitions; the product of all is never less.
        self.repeats *= max(most, 1)
        if most > REPEATS_MAX or (self.last == "close" and self.repeats > REPEATS_MAX):
            return PatternIssue(
                PatternFeature.DIVERGENT, f"{found.group()} repeats too often; {REPEATS_MAX} times is the most."
            )
        return None

    def _class(self) -> str | PatternIssue:
        negated = "^" if self.pattern.startswith("^", self.place) else ""
        self.place += len(negated)
        members: list[str] = []
        # A bracket right at the beginning is a member of the class and not its end.
        while not self.pattern.startswith("]", self.place) or not members:
            found = MEMBER.match(self.pattern, self.place)
            member = _member(found) if found else None
            if member is None:
                return self._unknown()
            members.append(member)
            self.place += len(found.group()) if found else 0
        self.place += 1
        self.last = "class"
        return _range_issue(members) or f"[{negated}{''.join(members)}]"

    def _unknown(self) -> PatternIssue:
        rest = self.pattern[self.place :]
        if rest in ("", "\\"):
            return PatternIssue(PatternFeature.INVALID, "The pattern ends too early.")
        return PatternIssue(
            PatternFeature.DIVERGENT, f"Engines differ on {rest[:8]}; write it another way, or escape it."
        )


def _member(found: re.Match[str]) -> str | None:
    # Set operations exist in Rust's engine; RE2 reads their signs as plain characters.
    if found.lastgroup == "set":
        return None
    if found.lastgroup == "shorthand":
        return WRITTEN_OUT[found.group()[1]]
    return found.group()


def _range_issue(members: list[str]) -> PatternIssue | None:
    for place in range(1, len(members) - 1):
        if members[place] != "-":
            continue
        first, last = members[place - 1], members[place + 1]
        if len(first) != 1 or len(last) != 1:
            return PatternIssue(PatternFeature.DIVERGENT, f"The range {first}-{last} needs a character on either side.")
        if first > last:
            return PatternIssue(PatternFeature.INVALID, f"The range {first}-{last} ends before it begins.")
    return None
