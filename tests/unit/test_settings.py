"""A wrong setting stops the start with one line that says which and why."""

import pytest

from gateway import settings
from gateway.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MQTT_URL", "localhost", "mqtt_url must look like mqtt://"),
        ("HTTP_PORT", "80000", "WEARWELL_HTTP_PORT"),
        ("LOG_LEVEL", "loud", "WEARWELL_LOG_LEVEL"),
        ("STRIPE_KEY", "rk_test_1", "needs stripe_webhook_secrets"),
        ("MQTT_ULR", "mqtt://broker", "did you mean WEARWELL_MQTT_URL"),
        ("FLUX", "1", "WEARWELL_FLUX is not a setting"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    """One line: the setting, what is wrong, where to look."""
    monkeypatch.setenv(f"WEARWELL_{name}", value)
    with pytest.raises(ConfigurationError, match=r"docs/operating\.md") as caught:
        settings.load()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fast_world_meets_neither_real_payments_nor_real_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's pace is refused beside Stripe itself, and beside a mail server that is not on this machine."""
    monkeypatch.setenv("WEARWELL_PACE", "2026-01-01T00:00:00+00:00,2026-01-01T00:00:00+00:00,86400")
    monkeypatch.setenv("WEARWELL_SMTP_URL", "smtp://mail.example.com")
    with pytest.raises(ConfigurationError, match="real mail server"):
        settings.load()
    monkeypatch.delenv("WEARWELL_SMTP_URL")
    monkeypatch.setenv("WEARWELL_STRIPE_KEY", "rk_live_1")
    monkeypatch.setenv("WEARWELL_STRIPE_WEBHOOK_SECRETS", "whsec_1")
    with pytest.raises(ConfigurationError, match="real payments"):
        settings.load()


def test_a_secret_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given is not repeated: it may be a password in the wrong place."""
    monkeypatch.setenv("WEARWELL_HTTP_PORT", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)
