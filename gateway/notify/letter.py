"""A letter: what a mail says, once; its HTML and its text are the same words in the same order."""

from dataclasses import dataclass
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


class Link(NamedTuple):
    label: str
    url: str


class Fact(NamedTuple):
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Section:
    """One product's part: a title, sentences, facts, one button, other answers as links."""

    title: str
    sentences: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    button: Link | None = None
    note: str = ""
    others: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """A whole mail before it is addressed."""

    lang: str
    subject: str
    sections: tuple[Section, ...]
    why: str
    lead: str = ""
    unsubscribe: Link | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The way out for a mail program (RFC 8058): one click, and that click is a POST."""
        if self.unsubscribe is None:
            return {}
        return {
            "List-Unsubscribe": f"<{self.unsubscribe.url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }


_templates = Environment(
    loader=PackageLoader("gateway.notify"),
    autoescape=select_autoescape(("html.j2",)),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


def as_html(letter: Letter) -> str:
    """Return the letter as one HTML page: no script, no image, nothing fetched from anywhere."""
    return _templates.get_template("letter.html.j2").render(letter=letter)


def as_text(letter: Letter) -> str:
    """Return the letter as plain text."""
    return _templates.get_template("letter.txt.j2").render(letter=letter)
