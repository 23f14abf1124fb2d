"""The e-mails of the demo corpus: a thread with a quoted reply and an attachment."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

BODY = """\
Hello Joanna,

thank you for the echo file. The quality falls to 21 dB every night between three and six and recovers
when the sun is up, so it is dew on a spider's web, not the electronics. Please do two things:

1. Wipe the window with water. Do not use alcohol.
2. Update fs220-1187 to firmware 4.2.0, which lowers the threshold from 38 dB to 32 dB.

If E-4417 comes back after that, I will send you an exchange unit under RMA-26-0419.

Kind regards
Luis Ferreira
Customer Support, Acme Sensors

On Mon, 4 May 2026 at 08:12, Joanna Thwaite <j.thwaite@wyke-forecast.example> wrote:
> Dear support,
>
> our station at Wyke Mill reports E-4417 almost every night since the middle of April. By day it is
> fine. The gauge feeds a flood warning, so our director is nervous. I attach the echo quality of the
> last nights. Is the sensor broken?
>
> Joanna Thwaite
> Wyke Flood Forecasting Service
"""
ECHO = """\
time_utc,echo_db,distance_mm
2026-05-03T21:00:00Z,44,3390
2026-05-04T00:00:00Z,36,3391
2026-05-04T03:00:00Z,24,3391
2026-05-04T04:30:00Z,21,3391
2026-05-04T06:00:00Z,33,3392
2026-05-04T09:00:00Z,45,3392
"""


def build(corpus: Path) -> None:
    """Write the e-mails below `corpus`."""
    message = EmailMessage()
    message["Message-ID"] = "<20260504103300.4417@acme-sensors.example>"
    message["In-Reply-To"] = "<20260504081200.77@wyke-forecast.example>"
    message["Date"] = "Mon, 04 May 2026 10:33:00 +0100"
    message["From"] = "Luis Ferreira <luis.ferreira@acme-sensors.example>"
    message["To"] = "Joanna Thwaite <j.thwaite@wyke-forecast.example>"
    message["Cc"] = "Hydrometry Desk <hydrometry@wyke-forecast.example>"
    message["Subject"] = "Re: E-4417 every night at Wyke Mill"
    message.set_content(BODY, cte="8bit")
    message.add_attachment(ECHO, subtype="csv", filename="wyke-mill-echo.csv", cte="8bit")
    message.set_boundary("wyke-mill-thread")
    target = corpus / "acme-sensors/support/e-4417-at-wyke-mill.eml"
    target.write_bytes(message.as_bytes(policy=SMTP.clone(linesep="\n")))
