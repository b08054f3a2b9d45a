"""What owners read: languages agree, spans and intervals are said as people say them."""

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.notify import phrases, reasons, words
from gateway.notify.reasons import Reason


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_says_everything() -> None:
    """The same keys in each language, and no field that English does not fill."""
    for table in (phrases.PHRASES, reasons.SAID):
        english = table["en"]
        for said in table.values():
            assert english.keys() == said.keys()
            assert [] == [key for key, text in said.items() if fields(text) - fields(english[key])]


@pytest.mark.parametrize(
    ("days", "english", "german"),
    [
        (0.2, "0 days", "0 Tage"),
        (1.2, "1 day", "1 Tag"),
        (12, "12 days", "12 Tage"),
        (20, "3 weeks", "3 Wochen"),
        (69, "10 weeks", "10 Wochen"),
        (150, "5 months", "5 Monate"),
        (800, "2 years", "2 Jahre"),
    ],
)
def test_a_span_is_said_in_the_unit_people_use(days: float, english: str, german: str) -> None:
    """Days, then weeks, then months, then years."""
    assert (english, german) == (words.span(days, "en"), words.span(days, "de"))


def test_an_interval_has_the_unit_of_its_middle() -> None:
    """ "About 6 weeks left (4 to 9)"; both ends alike are one number."""
    assert ("4 to 9", "4 bis 9", "3") == (
        words.between(28, 63, 42, "en"),
        words.between(28, 63, 42, "de"),
        words.between(20, 22, 21, "en"),
    )


@given(st.floats(-1e4, 1e5))
def test_no_span_is_ever_negative(days: float) -> None:
    """What is past is said as nothing left, not as minus days."""
    assert not words.span(days, "en").startswith("-")


@pytest.mark.parametrize("locale", ["de", "de-AT", "DE_de", "fr", "en-GB", ""])
def test_a_language_we_do_not_speak_gets_english(locale: str) -> None:
    """The nearest language, English otherwise."""
    assert ("de" if locale.lower().startswith("de") else "en") == words.language(locale)


def test_dates_and_numbers_are_the_language_s_own() -> None:
    """3 March 2027 and 3. März 2027; 1,234.5 and 1.234,5."""
    at = datetime(2027, 3, 3, tzinfo=UTC)
    assert ("3 March 2027", "3. März 2027") == (words.day(at, "en"), words.day(at, "de"))
    assert ("1,234.5", "1.234,5") == (words.number(1234.5, "en", 1), words.number(1234.5, "de", 1))


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize("code", sorted(reasons.SAID["en"]))
def test_every_reason_is_a_sentence(code: str, lang: words.Language) -> None:
    """Stored as JSON and read back it says the same, with its numbers."""
    reason = Reason(code, 12.5, 150.0)
    assert reason == reasons.from_json(reason.as_json())
    said = reasons.say(reason, lang)
    assert said.endswith(".")
    assert "{" not in said
