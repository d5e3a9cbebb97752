"""The report: what was found, part by part, for people and for programs."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from django.core.checks import CheckMessage

from ..errors import error_text

__all__ = ["Finding", "Part", "Report", "State", "noted", "told_by", "works", "wrong"]

State = Literal["works", "noted", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: ``works``, ``noted`` (neither right nor wrong), or ``wrong`` (to be mended).
        text: what was found.
        hint: what to do about it.
        facts: the same for programs.
    """

    state: State
    text: str
    hint: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def works(text: str, **facts: object) -> Finding:
    """Return the finding that something works."""
    return Finding("works", text, "", facts)


def noted(text: str, hint: str = "", **facts: object) -> Finding:
    """Return the finding of something that is neither right nor wrong."""
    return Finding("noted", text, hint, facts)


def wrong(text: str, hint: str = "", **facts: object) -> Finding:
    """Return the finding of a mistake, or of something that does not work."""
    return Finding("wrong", text, hint, facts)


def told_by(check: Callable[[], Iterable[CheckMessage]]) -> Iterator[Finding]:
    """Yield what a system check says, unless the project silences it."""
    for message in check():
        if not message.is_silenced():
            yield wrong(message.msg, str(message.hint or ""), id=message.id)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the report.

    Attributes:
        name: its heading.
        look: finds what there is to say.
    """

    name: str
    look: Callable[[], Iterable[Finding]]

    def findings(self) -> list[Finding]:
        """Return what was found. An exception ends the part, and is a finding."""
        found: list[Finding] = []
        try:
            found.extend(self.look())
        except Exception as error:
            found.append(wrong(f"this could not be looked at: {error_text(error)}"))
        return found


class Report:
    """What all parts found.

    Args:
        head: what the report is about.
        parts: in their order.
    """

    def __init__(self, head: Mapping[str, str], parts: Iterable[Part]) -> None:
        self.head = head
        self.parts = [(part.name, part.findings()) for part in parts]

    @property
    def mistakes(self) -> int:
        """How many findings are wrong."""
        return sum(finding.state == "wrong" for _, findings in self.parts for finding in findings)

    def as_json(self) -> str:
        """Return the report for programs."""
        parts = {
            name: [{"state": each.state, "text": each.text, "hint": each.hint, **each.facts} for each in findings]
            for name, findings in self.parts
        }
        return json.dumps({**self.head, "mistakes": self.mistakes, "parts": parts}, indent=2, default=str)

    def as_text(self, paint: Mapping[State, Callable[[str], str]]) -> str:
        """Return the report for people.

        Args:
            paint: puts a mark into colour, by state.
        """
        marks = {"works": "ok", "noted": "--", "wrong": "!!"}
        lines = [", ".join(f"{name} {version}" for name, version in self.head.items())]
        for name, findings in self.parts:
            lines += ["", name]
            for each in findings:
                lines.append(f"  {paint[each.state](marks[each.state])}  {each.text}")
                if each.hint:
                    lines.append(f"      {each.hint}")
        said = f"{self.mistakes} to be mended" if self.mistakes else "nothing is wrong"
        return "\n".join([*lines, "", paint["wrong" if self.mistakes else "works"](said)])
