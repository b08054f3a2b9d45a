"""Dates, spans of time and money as an owner reads them, in their language."""

from datetime import datetime, timedelta
from typing import Literal

from babel.dates import format_date
from babel.numbers import format_decimal

Language = Literal["en", "de"]
UNITS: dict[Language, dict[str, tuple[str, str]]] = {
    "en": {"day": ("day", "days"), "week": ("week", "weeks"), "month": ("month", "months"), "year": ("year", "years")},
    "de": {
        "day": ("Tag", "Tage"),
        "week": ("Woche", "Wochen"),
        "month": ("Monat", "Monate"),
        "year": ("Jahr", "Jahre"),
    },
}
WINDOWS: dict[Language, tuple[tuple[str, str], tuple[str, str]]] = {
    "en": (("minute", "minutes"), ("hour", "hours")),
    "de": (("Minute", "Minuten"), ("Stunde", "Stunden")),
}
DAYS = {"day": 1.0, "week": 7.0, "month": 30.44, "year": 365.25}


def language(locale: str) -> Language:
    """Return the language we speak that comes nearest to a locale such as de-AT; English otherwise."""
    return "de" if locale.lower().startswith("de") else "en"


def span_unit(days: float) -> str:
    """Return the unit in which so many days are said: days to two weeks, weeks to ten, months to two years."""
    if days < 13.5:
        return "day"
    if days < 70:
        return "week"
    return "month" if days < 730 else "year"


def span(days: float, lang: Language) -> str:
    """Say a number of days as people do: "9 days", "3 weeks", "5 months"."""
    unit = span_unit(days)
    count = max(0, round(days / DAYS[unit]))
    one, many = UNITS[lang][unit]
    return f"{count} {one if count == 1 else many}"


def window(lasts: timedelta, lang: Language) -> str:
    """Say how long something may be done: "30 minutes", "12 hours", "3 days"; one minute at least."""
    if lasts >= timedelta(days=2):
        return span(lasts / timedelta(days=1), lang)
    hours = lasts >= timedelta(hours=2)
    count = max(1, round(lasts / (timedelta(hours=1) if hours else timedelta(minutes=1))))
    one, many = WINDOWS[lang][hours]
    return f"{count} {one if count == 1 else many}"


def between(low_days: float, high_days: float, mid_days: float, lang: Language) -> str:
    """Say an interval in the unit of its middle: "2 to 5"; one number when both ends round alike."""
    each = DAYS[span_unit(mid_days)]
    low, high = max(0, round(low_days / each)), max(0, round(high_days / each))
    return f"{low}" if low == high else f"{low} {'bis' if lang == 'de' else 'to'} {high}"


def day(at: datetime, lang: Language) -> str:
    """Write a date out: "3 March 2027", "3. März 2027"."""
    return format_date(at, "d MMMM yyyy" if lang == "en" else "long", locale=lang)


def number(value: float, lang: Language, places: int = 0) -> str:
    """Write a number with the language's separators."""
    return format_decimal(round(value, places), locale=lang, format="#,##0." + "0" * places if places else "#,##0")


def days_between(later: datetime, earlier: datetime) -> float:
    """Return the days from `earlier` to `later`, below zero when it is the other way round."""
    return (later - earlier) / timedelta(days=1)
