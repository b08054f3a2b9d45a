"""Why a forecast says what it says, in an owner's words: one sentence for each code, in each language.

replenish/score.py stores the codes with their numbers; pages and mails say them in the reader's language.
"""

from dataclasses import dataclass
from typing import Any

from gateway.notify.words import Language, number, span

SAID: dict[Language, dict[str, str]] = {
    "en": {
        "used": "It has run {hours} of about {rated} rated hours.",
        "hours": "It has run {hours} hours.",
        "load": "It works {times} times as hard as it is rated for.",
        "eased": "It works only {times} times as hard as it is rated for.",
        "reported": "The unit itself reports {percent} % left.",
        "busier": "For {span} it has been used {ratio} times as much as before.",
        "calmer": "For {span} it has been used only {ratio} times as much as before.",
        "pace": "It runs about {hours} hours a day.",
        "age": "It has been in place for {span}; it is rated for {rated_span}.",
        "silent": "The unit has not been heard from for {span}.",
        "no_radio": "The unit cannot report its use, so this goes by the calendar.",
        "unheard": "The unit has not reported its use, so this goes by the calendar.",
        "cohort": "This is learned from {count} parts that reached their end before it.",
        "cohort_one": "This is learned from one part that reached its end before it.",
        "parts": "This is learned from {count} earlier parts, worn out or taken out early.",
        "changed": "Its own signals look as if a new part was put in {span} ago; until you tell us, both count.",
        "assumed_new": "You have not told us whether it was changed {span} ago; we go on as if a new one were in.",
        "assumed_same": "You have not told us whether it was changed {span} ago; we go on as if it were the same one.",
        "denied": "Its signals changed though the part did not, so this goes by its use.",
        "reset_only": "The unit's own counter was set anew {span} ago without a new part, so we do not go by it.",
        "not_reset": "The unit's own counter was not set anew with this part, so we do not go by it.",
        "cleaned": "It seems to have been cleaned {span} ago, so what was measured before says little.",
        "unclear": "Something happened to it {span} ago that its signals do not explain, so this goes by its use.",
        "sensor_stuck": "Its sensor has said the same for too long, so this goes by its use.",
        "sensor_biased": "Its sensor reads what no part can, so this goes by its use.",
        "sensor_jumped": "Its sensor jumped {span} ago, so this goes by its use.",
        "sudden": "Its sensor went past the end of life all at once; please have a look.",
        "share_load": "{percent} % of its wear so far came from {channel} above what it is rated for.",
        "share_eased": "It was spared {percent} % of its wear so far by {channel} below what it is rated for.",
        "share_more": "{percent} % of its wear so far came from its {channel}, compared with other units.",
        "share_less": "Its {channel} spared it {percent} % of wear, compared with other units.",
    },
    "de": {
        "used": "Betriebsstunden bisher: {hours} von etwa {rated}.",
        "hours": "Betriebsstunden bisher: {hours}.",
        "load": "Die Belastung ist {times}-mal so hoch wie vorgesehen.",
        "eased": "Die Belastung ist nur {times}-mal so hoch wie vorgesehen.",
        "reported": "Das Gerät selbst meldet noch {percent} %.",
        "busier": "Seit {span} wird das Gerät {ratio}-mal so viel genutzt wie vorher.",
        "calmer": "Seit {span} wird das Gerät nur noch {ratio}-mal so viel genutzt wie vorher.",
        "pace": "Das Gerät läuft etwa {hours} Stunden am Tag.",
        "age": "Eingesetzt seit {span}; vorgesehen sind {rated_span}.",
        "silent": "Das Gerät hat sich seit {span} nicht gemeldet.",
        "no_radio": "Das Gerät kann seine Nutzung nicht melden; deshalb zählt der Kalender.",
        "unheard": "Das Gerät hat seine Nutzung nicht gemeldet; deshalb zählt der Kalender.",
        "cohort": "Gelernt aus {count} Teilen, die vorher ihr Ende erreicht haben.",
        "cohort_one": "Gelernt aus einem Teil, das vorher sein Ende erreicht hat.",
        "parts": "Gelernt aus {count} früheren Teilen, ob verbraucht oder vorzeitig entnommen.",
        "changed": "Nach den Signalen wurde vor {span} ein neues Teil eingesetzt; bis Sie es sagen, zählt beides.",
        "assumed_new": "Ob das Teil vor {span} gewechselt wurde, wissen wir nicht; wir rechnen mit einem neuen.",
        "assumed_same": "Ob das Teil vor {span} gewechselt wurde, wissen wir nicht; wir rechnen mit demselben.",
        "denied": "Die Signale haben sich geändert, das Teil nicht; deshalb zählt die Nutzung.",
        "reset_only": "Der Zähler des Geräts wurde vor {span} ohne neues Teil zurückgesetzt und zählt deshalb nicht.",
        "not_reset": "Der Zähler des Geräts wurde mit diesem Teil nicht zurückgesetzt und zählt deshalb nicht.",
        "cleaned": "Das Teil wurde wohl vor {span} gereinigt; was davor gemessen wurde, sagt wenig.",
        "unclear": "Vor {span} ist etwas geschehen, das die Signale nicht erklären; deshalb zählt die Nutzung.",
        "sensor_stuck": "Der Sensor meldet zu lange dasselbe; deshalb zählt die Nutzung.",
        "sensor_biased": "Der Sensor meldet, was kein Teil zeigen kann; deshalb zählt die Nutzung.",
        "sensor_jumped": "Der Sensor sprang vor {span}; deshalb zählt die Nutzung.",
        "sudden": "Der Sensor lag plötzlich über dem Ende der Lebensdauer; bitte sehen Sie nach.",
        "share_load": "Abnutzung bisher: {percent} % durch {channel} über dem vorgesehenen Maß.",
        "share_eased": "Gespart durch {channel} unter dem vorgesehenen Maß: {percent} % der bisherigen Abnutzung.",
        "share_more": "Abnutzung bisher: {percent} % durch {channel}, verglichen mit anderen Geräten.",
        "share_less": "Abnutzung bisher: {percent} % weniger durch {channel}, verglichen mit anderen Geräten.",
    },
}

CHANNELS: dict[Language, dict[str, str]] = {
    "en": {
        "volume": "water",
        "flow": "flow",
        "fan_rpm": "fan speed",
        "load": "load",
        "pm25": "fine dust",
        "pm10": "dust",
        "voc": "gases in the air",
        "no2": "nitrogen dioxide",
        "temperature": "temperature",
        "humidity": "humidity",
        "tds": "dissolved solids",
        "power": "power",
    },
    "de": {
        "volume": "Wasser",
        "flow": "Durchfluss",
        "fan_rpm": "Drehzahl",
        "load": "Belastung",
        "pm25": "Feinstaub",
        "pm10": "Staub",
        "voc": "Gase in der Luft",
        "no2": "Stickstoffdioxid",
        "temperature": "Temperatur",
        "humidity": "Luftfeuchte",
        "tds": "gelöste Stoffe",
        "power": "Leistung",
    },
}
"""What the standard channels that wear a part are called; one that a maker declared is called by its own name."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its code, the number it rests on, what that is measured against, and the channel it is about."""

    code: str
    value: float | None = None
    of: float | None = None
    channel: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as stored in forecast.reasons, with its English text."""
        found: dict[str, Any] = {"code": self.code, "text": say(self, "en"), "value": self.value}
        more = {"of": self.of, "channel": self.channel}
        return found | {name: value for name, value in more.items() if value is not None}


def from_json(part: dict[str, Any]) -> Reason:
    """Read a stored reason."""
    return Reason(part["code"], part.get("value"), part.get("of"), part.get("channel"))


def say(reason: Reason, lang: Language) -> str:
    """Return the sentence of a reason."""
    value, of = reason.value or 0.0, reason.of or 0.0
    months = lang == "de"  # the dative after "seit"
    return SAID[lang][reason.code].format(
        hours=number(value, lang, 1 if value < 20 else 0),
        rated=number(of, lang),
        times=number(value, lang, 1),
        ratio=number(of, lang, 1),
        percent=number(value, lang),
        span=_dative(span(value, lang)) if months else span(value, lang),
        rated_span=span(of, lang),
        count=number(value, lang),
        channel=channel_name(reason.channel or "load", lang),
    )


def channel_name(channel: str, lang: Language) -> str:
    """Return what an owner calls a channel."""
    return CHANNELS[lang].get(channel, channel.replace("_", " "))


def _dative(text: str) -> str:
    count, unit = text.split(" ", 1)
    cases = {"Tag": "Tag", "Tage": "Tagen", "Monate": "Monaten", "Jahre": "Jahren"}
    return f"{count} {cases.get(unit, unit)}"
