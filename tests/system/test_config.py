"""Settings of a process that starts: with a wrong one, or without a Django project."""

from tests.support.processes import run_python
from tests.unit.config.test_config import LEVELS


def test_a_start_with_a_loud_level_fails(processes):
    """``manage.py check`` ends with the name, what was given and the accepted names, and does not go on."""
    process = processes.manage("check", env={"LOG_LEVEL": "LOUD"})

    assert process.wait() != 0
    assert process.errors[-1].endswith(
        f"ImproperlyConfigured: the environment variable LOG_LEVEL is 'LOUD'; accepted: {LEVELS}."
    )
    assert "no issues" not in process.text


def test_a_start_with_a_wrong_value_fails_when_switched_off_too(processes):
    """``TELEMETRY_ENABLED=false`` hides no mistake."""
    process = processes.manage("check", env={"LOG_FORMAT": "xml", "TELEMETRY_ENABLED": "false"})

    assert process.wait() != 0
    assert "LOG_FORMAT is 'xml'; accepted: json, pretty, logfmt." in process.errors[-1]


def test_without_django_settings_the_environment_and_defaults_count():
    """A Celery app without a Django project has neither ``DTX_TELEMETRY`` nor ``DEBUG``."""
    code = """
        import django.conf
        from dtx_telemetry import config
        settings = config.get_settings()
        print(settings.log_level, settings.log_format, settings.quiet_loggers == config.NOISY_LOGGERS)
    """

    assert run_python(code, LOG_LEVEL="error").split() == ["40", "json", "True"]


def test_what_was_read_before_django_had_settings_is_read_again():
    """A module that asks for labels as it is imported, before ``settings.configure()``, does not fix the defaults for good."""
    code = """
        from dtx_telemetry import extract_labels
        import dtx_telemetry.celery
        import django
        from django.conf import settings
        before = extract_labels("/v2/teams/5/")
        settings.configure(INSTALLED_APPS=["dtx_telemetry"], DTX_TELEMETRY={"LABEL_PREFIXES": ["/v2/"]})
        django.setup()
        print(before, extract_labels("/v2/teams/5/"))
    """

    assert run_python(code) == "{} {'labels': ['team'], 'team.id': 5}\n"
