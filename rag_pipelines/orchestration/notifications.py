"""Messages about failed runs to Slack, Teams, PagerDuty and by mail, through Dagster's own integrations.

What belongs here: what a message says, and a sensor for each way that is configured. What does not: alerts on
what no run says (`ops/prometheus`), and what a failure is (`failures`).
See https://docs.dagster.io/guides/automate/run-status-sensors
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Iterator
from html import escape
from importlib import import_module
from typing import Any

import dagster as dg

from rag_pipelines.config.notifications import NotificationSettings
from rag_pipelines.errors import ConfigError

MOST = 1_000
"""Characters of a reason; the run has the rest."""

RUNNING = dg.DefaultSensorStatus.RUNNING


def notification_sensors(settings: NotificationSettings) -> list[dg.SensorDefinition]:
    """A sensor for each way that is configured, running from the start.

    Raises:
        ConfigError: the package of an integration is not installed.
    """
    return list(_sensors(settings))


def failure_message(context: dg.RunFailureSensorContext) -> str:
    """What failed, of which source, and why: the reasons that the failed steps gave."""
    run = context.dagster_run
    partition = run.tags.get("dagster/partition")
    reasons = [
        step.event_specific_data.error_display_string  # type: ignore[union-attr]
        for step in context.get_step_failure_events()
        if step.event_specific_data is not None
    ]
    whose = f" ({partition})" if partition else ""
    told = "\n".join(_first_lines(reason) for reason in reasons) or context.failure_event.message or ""
    return f"{run.job_name}{whose} failed, run {run.run_id}\n{told}"[:MOST]


def _sensors(settings: NotificationSettings) -> Iterator[dg.SensorDefinition]:
    shared: dict[str, Any] = {"default_status": RUNNING, "webserver_base_url": settings.webserver}
    if slack := settings.slack:
        yield _integration("slack").make_slack_on_run_failure_sensor(
            slack.channel,
            slack.token.get_secret_value(),
            text_fn=failure_message,
            name="slack_on_failure",
            **shared,
        )
    if teams := settings.teams:
        yield _integration("msteams").make_teams_on_run_failure_sensor(
            teams.url.get_secret_value(), message_fn=failure_message, name="teams_on_failure", **shared
        )
    if settings.pagerduty:
        yield _pagerduty(settings)
    if email := settings.email:
        yield dg.make_email_on_run_failure_sensor(
            email.sender,
            email.password.get_secret_value(),
            list(email.to),
            email_body_fn=lambda context: f"<pre>{escape(failure_message(context))}</pre>",
            email_subject_fn=lambda context: failure_message(context).partition("\n")[0],
            smtp_host=email.host,
            smtp_type=email.security.upper(),
            smtp_port=email.port,
            smtp_user=email.user,
            name="email_on_failure",
            **shared,
        )


def _pagerduty(settings: NotificationSettings) -> dg.SensorDefinition:
    assert settings.pagerduty is not None
    key = settings.pagerduty.routing_key.get_secret_value()
    service = _integration("pagerduty").PagerDutyService(routing_key=key)
    host = settings.webserver or "rag-pipelines"

    @dg.run_failure_sensor(name="pagerduty_on_failure", default_status=RUNNING)
    def pagerduty_on_failure(context: dg.RunFailureSensorContext) -> None:
        """Open one incident for the failures of a job and partition, until somebody resolves it."""
        run = context.dagster_run
        message = failure_message(context)
        partition = run.tags.get("dagster/partition", "")
        service.EventV2_create(
            summary=message.partition("\n")[0],
            source=host,
            severity="error",
            dedup_key=f"{run.job_name}:{partition}",
            custom_details={"message": message, "run": run.run_id},
        )

    return pagerduty_on_failure


def _integration(name: str) -> Any:
    try:
        return import_module(f"dagster_{name}")
    except ImportError as error:
        raise ConfigError(
            f"notifications need the package dagster-{name}, which is not installed: "
            "pip install 'rag-pipelines[notifications]'"
        ) from error


def _first_lines(reason: str) -> str:
    """A reason without the traceback under it."""
    return reason.partition("\nStack Trace")[0].strip()
