"""A browser as small as the demo needs: it opens pages, reads forms, and sends them as a person's browser would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx

from gateway.errors import WearwellError


class NoSuchForm(WearwellError):
    """A page does not have the button that the demo looks for."""


@dataclass
class Form:
    """A form as it stands on its page: where it goes, and what goes with it unless it is changed."""

    action: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
            self._inside = True
        elif self._inside and tag in ("input", "button") and given.get("name"):
            form = self.forms[-1]
            kind = given.get("type", "text" if tag == "input" else "submit")
            if kind in ("checkbox", "radio") and "checked" not in given:
                return
            form.fields.setdefault(given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def forms(html: str) -> list[Form]:
    """Return a page's forms in order."""
    parser = _Forms()
    parser.feed(html)
    return parser.forms


class Browser:
    """Keeps cookies, follows redirects, says where it comes from."""

    def __init__(self) -> None:
        self.client = httpx.Client(follow_redirects=True, timeout=20, headers={"User-Agent": "wearwell-demo"})
        self.page: httpx.Response | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def open(self, url: str) -> str:
        """Open a page and return its text. Raises WearwellError when it does not answer with one."""
        self.page = self._sent("GET", url)
        return self.page.text

    def press(self, part: str, **changed: str) -> str:
        """Send the form that goes to a path with `part` in it from the page that is open, and return what came.

        Raises NoSuchForm with the page's address.
        """
        here = self.address
        form = self._form(part)
        if form is None:
            raise NoSuchForm(f"the page {here} has no form that goes to …{part}")
        headers = {"Origin": "{0.scheme}://{0.netloc}".format(urlsplit(here)), "Sec-Fetch-Site": "same-origin"}
        self.page = self._sent("POST", urljoin(here, form.action), data=form.fields | changed, headers=headers)
        return self.page.text

    def offers(self, part: str) -> bool:
        """Say whether the page that is open has a form that goes to a path with `part` in it."""
        return self._form(part) is not None

    @property
    def address(self) -> str:
        """The address of the page that is open; empty when none is."""
        return str(self.page.url) if self.page else ""

    def _form(self, part: str) -> Form | None:
        for form in forms(self.page.text) if self.page else []:
            if form.method == "post" and part in urlsplit(urljoin(self.address, form.action)).path:
                return form
        return None

    def _sent(self, method: str, url: str, **given: object) -> httpx.Response:
        try:
            answer = self.client.request(method, url, **given)  # type: ignore[arg-type]  # data and headers as httpx takes them
        except httpx.HTTPError as error:
            raise WearwellError(f"{method} {url} failed: {error}") from None
        if answer.is_error:
            raise WearwellError(f"{method} {answer.url} answered {answer.status_code}")
        return answer
