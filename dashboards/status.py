"""The one table from a status token to what people see of it: a label, a tone and an icon.

Timeline, badge, chart and flash all look here, so a status has one face. Colour is never the only sign: each tone comes
with an icon of its own shape, and with the word.
"""

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """The few colours a status may have; `app.css` gives each its shades in light and dark."""

    GOOD = "good"
    CAUTION = "caution"
    BAD = "bad"
    ACCENT = "accent"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Look:
    """The face of a status. `icon` names a drawing of `templates/_icon.html`."""

    label: str
    tone: Tone
    icon: str


LOOKS = {
    # the rollout
    "running": Look("Running", Tone.ACCENT, "play"),
    "held": Look("Held", Tone.CAUTION, "pause"),
    "rolled_back": Look("Rolled back", Tone.BAD, "back"),
    "complete": Look("Complete", Tone.GOOD, "check"),
    # its phases and steps
    "done": Look("Done", Tone.GOOD, "check"),
    "current": Look("Now", Tone.ACCENT, "dot"),
    "upcoming": Look("Later", Tone.QUIET, "ring"),
    "stopped": Look("Stopped here", Tone.BAD, "back"),
    # gates
    "open": Look("Open", Tone.GOOD, "check"),
    "closed": Look("Closed", Tone.CAUTION, "lock"),
    "unknown": Look("Not proven", Tone.QUIET, "question"),
    # the guard's verdicts
    "ok": Look("Fine", Tone.GOOD, "check"),
    "insufficient": Look("Too little traffic", Tone.QUIET, "ring"),
    "watch": Look("Watching", Tone.CAUTION, "eye"),
    "blind": Look("Blind", Tone.CAUTION, "blind"),
    "hold": Look("Holding", Tone.CAUTION, "pause"),
    "rollback": Look("Breached", Tone.BAD, "alarm"),
    # whose fault a breach is
    "v2_only": Look("Only v2", Tone.BAD, "alarm"),
    "shared": Look("Both engines", Tone.CAUTION, "pause"),
    "legacy": Look("Legacy", Tone.CAUTION, "pause"),
    # steps of an explanation
    "decided": Look("Decides", Tone.ACCENT, "play"),
    "matched": Look("Fits, passes on", Tone.QUIET, "dot"),
    "passed": Look("Passes on", Tone.QUIET, "ring"),
    # answers of the flag, and what an override does
    "on": Look("On", Tone.GOOD, "check"),
    "off": Look("Off", Tone.QUIET, "ring"),
    "allow": Look("Let in", Tone.GOOD, "check"),
    "deny": Look("Kept out", Tone.CAUTION, "lock"),
    # the audit trail
    "rollout.plan": Look("Planned", Tone.QUIET, "ring"),
    "rollout.advance": Look("Advanced", Tone.GOOD, "forward"),
    "rollout.step_back": Look("Stepped back", Tone.CAUTION, "back"),
    "rollout.hold": Look("Held", Tone.CAUTION, "pause"),
    "rollout.resume": Look("Resumed", Tone.ACCENT, "play"),
    "rollout.roll_back": Look("Rolled back", Tone.BAD, "back"),
    "rollout.rearm": Look("Re-armed", Tone.ACCENT, "forward"),
    "person.create": Look("Person added", Tone.QUIET, "person"),
    "person.change_role": Look("Role changed", Tone.QUIET, "person"),
    "person.change_password": Look("Password changed", Tone.QUIET, "lock"),
    "person.disable": Look("Locked out", Tone.CAUTION, "lock"),
    "person.enable": Look("Let in again", Tone.QUIET, "person"),
    "person.end_sessions": Look("Signed out", Tone.QUIET, "lock"),
    "token.create": Look("Token made", Tone.QUIET, "ring"),
    "token.revoke": Look("Token revoked", Tone.CAUTION, "lock"),
    "alert.override": Look("Alert overruled", Tone.CAUTION, "eye"),
    "alert.override_ask": Look("Second owner asked", Tone.CAUTION, "person"),
    "alert.override_end": Look("Alert acts again", Tone.QUIET, "eye"),
    "override.put": Look("User by name", Tone.CAUTION, "person"),
    "override.remove": Look("Override ended", Tone.QUIET, "person"),
    "override.expire": Look("Override ended", Tone.QUIET, "person"),
    "directory.beta": Look("Beta list", Tone.QUIET, "person"),
    "intact": Look("Chain verified", Tone.GOOD, "check"),
    "broken": Look("Chain broken", Tone.BAD, "alarm"),
    # operations on credits
    "allowed": Look("Allowed", Tone.GOOD, "check"),
    "denied_limit": Look("Over the limit", Tone.QUIET, "lock"),
    "denied_state": Look("Not allowed", Tone.QUIET, "lock"),
    "error": Look("Failed", Tone.BAD, "alarm"),
    "match": Look("Same answer", Tone.GOOD, "check"),
    "policy": Look("Differs by policy", Tone.QUIET, "ring"),
    "defect": Look("Defect", Tone.BAD, "alarm"),
    "shadow_error": Look("Shadow failed", Tone.CAUTION, "blind"),
    "shadow_shed": Look("Shadow not asked", Tone.QUIET, "question"),
    "served_error": Look("No answer to compare", Tone.CAUTION, "blind"),
    "served": Look("Serves", Tone.ACCENT, "play"),
    "shadow": Look("Shadow", Tone.QUIET, "ring"),
    "frozen": Look("Frozen", Tone.CAUTION, "lock"),
    "credits.report_rollback": Look("Damage added up", Tone.QUIET, "question"),
    "credits.approve_corrections": Look("Corrections approved", Tone.CAUTION, "check"),
    # what a rollback left behind
    "prepared": Look("Waits for approval", Tone.CAUTION, "pause"),
    "approved": Look("Being posted", Tone.ACCENT, "play"),
    "settled": Look("Settled", Tone.GOOD, "check"),
    "none": Look("Owed nothing", Tone.QUIET, "ring"),
    "proposed": Look("Proposed", Tone.QUIET, "question"),
    "posted": Look("Given back", Tone.GOOD, "check"),
    "refused": Look("Not possible", Tone.BAD, "alarm"),
    # what became of an alert of Alertmanager's, and of a notice
    "noted": Look("Noted", Tone.QUIET, "ring"),
    "pending": Look("On its way", Tone.QUIET, "ring"),
    "delivered": Look("Delivered", Tone.GOOD, "check"),
    "dead": Look("Given up", Tone.BAD, "alarm"),
    # people, tokens and services
    "active": Look("Active", Tone.GOOD, "check"),
    "disabled": Look("Locked out", Tone.QUIET, "lock"),
    "expired": Look("Expired", Tone.QUIET, "ring"),
    "revoked": Look("Revoked", Tone.QUIET, "lock"),
    "alive": Look("Alive", Tone.GOOD, "check"),
    "silent": Look("Silent", Tone.BAD, "alarm"),
    "ready": Look("Ready", Tone.GOOD, "check"),
    "failing": Look("Failing", Tone.BAD, "alarm"),
    # what became of a request
    "success": Look("Done", Tone.GOOD, "check"),
    "refusal": Look("Not possible now", Tone.BAD, "alarm"),
    "notice": Look("Please note", Tone.ACCENT, "dot"),
}


def look(token: str) -> Look:
    """The face of `token`; one that the table does not know is shown quietly, in its own words."""
    known = LOOKS.get(token)
    return known or Look(token.rpartition(".")[2].replace("_", " ").capitalize(), Tone.QUIET, "ring")
