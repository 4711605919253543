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
class BadgeStyle:
    """The face of a status. `icon` names a drawing of `templates/_icon.html`."""

    label: str
    tone: Tone
    icon: str


STYLES = {
    # the rollout
    "running": BadgeStyle("Running", Tone.ACCENT, "play"),
    "held": BadgeStyle("Held", Tone.CAUTION, "pause"),
    "rolled_back": BadgeStyle("Rolled back", Tone.BAD, "back"),
    "complete": BadgeStyle("Complete", Tone.GOOD, "check"),
    "archived": BadgeStyle("Archived", Tone.QUIET, "lock"),
    "not_requested": BadgeStyle("Not requested", Tone.QUIET, "ring"),
    "not_known": BadgeStyle("Not known here", Tone.CAUTION, "question"),
    # its phases and steps
    "done": BadgeStyle("Done", Tone.GOOD, "check"),
    "current": BadgeStyle("Now", Tone.ACCENT, "dot"),
    "upcoming": BadgeStyle("Later", Tone.QUIET, "ring"),
    "stopped": BadgeStyle("Stopped here", Tone.BAD, "back"),
    # gates
    "open": BadgeStyle("Open", Tone.GOOD, "check"),
    "closed": BadgeStyle("Closed", Tone.CAUTION, "lock"),
    "unknown": BadgeStyle("Can't tell yet", Tone.QUIET, "question"),
    # items of checklists
    "ticked": BadgeStyle("Done", Tone.GOOD, "check"),
    "unsigned": BadgeStyle("To be signed", Tone.QUIET, "ring"),
    "not_true": BadgeStyle("Not so yet", Tone.CAUTION, "alarm"),
    "late": BadgeStyle("Late", Tone.CAUTION, "alarm"),
    "checklist.sign": BadgeStyle("Item signed", Tone.GOOD, "check"),
    "checklist.withdraw": BadgeStyle("Signature taken back", Tone.CAUTION, "back"),
    "credits.load_test": BadgeStyle("Load test", Tone.QUIET, "question"),
    "credits.restore_test": BadgeStyle("Restore test", Tone.QUIET, "question"),
    # the guard's verdicts
    "ok": BadgeStyle("Fine", Tone.GOOD, "check"),
    "insufficient": BadgeStyle("Too little traffic", Tone.QUIET, "ring"),
    "watch": BadgeStyle("Watching", Tone.CAUTION, "eye"),
    "blind": BadgeStyle("Blind", Tone.CAUTION, "blind"),
    "hold": BadgeStyle("Holding", Tone.CAUTION, "pause"),
    "rollback": BadgeStyle("Breached", Tone.BAD, "alarm"),
    # whose fault a breach is
    "v2_only": BadgeStyle("Only v2", Tone.BAD, "alarm"),
    "shared": BadgeStyle("Both engines", Tone.CAUTION, "pause"),
    "legacy": BadgeStyle("Legacy", Tone.CAUTION, "pause"),
    # steps of an explanation
    "decided": BadgeStyle("Decides", Tone.ACCENT, "play"),
    "matched": BadgeStyle("Applies, does not decide", Tone.QUIET, "dot"),
    "passed": BadgeStyle("Does not apply", Tone.QUIET, "ring"),
    # answers of the flag, and what an override does
    "on": BadgeStyle("On", Tone.GOOD, "check"),
    "off": BadgeStyle("Off", Tone.QUIET, "ring"),
    "allow": BadgeStyle("Let in", Tone.GOOD, "check"),
    "deny": BadgeStyle("Kept out", Tone.CAUTION, "lock"),
    # the audit trail
    "rollout.plan": BadgeStyle("Planned", Tone.QUIET, "ring"),
    "rollout.advance": BadgeStyle("Advanced", Tone.GOOD, "forward"),
    "rollout.step_back": BadgeStyle("Stepped back", Tone.CAUTION, "back"),
    "rollout.hold": BadgeStyle("Held", Tone.CAUTION, "pause"),
    "rollout.resume": BadgeStyle("Resumed", Tone.ACCENT, "play"),
    "rollout.roll_back": BadgeStyle("Rolled back", Tone.BAD, "back"),
    "rollout.rearm": BadgeStyle("Re-armed", Tone.ACCENT, "forward"),
    "rollout.edit_plan": BadgeStyle("Plan changed", Tone.QUIET, "dot"),
    "rollout.approve": BadgeStyle("Approved", Tone.ACCENT, "check"),
    "rollout.archive": BadgeStyle("Archived", Tone.QUIET, "lock"),
    "rollout.revive": BadgeStyle("Revived", Tone.ACCENT, "play"),
    "rollout.delete": BadgeStyle("Deleted", Tone.CAUTION, "alarm"),
    "billing.replay": BadgeStyle("Event applied again", Tone.QUIET, "forward"),
    "person.create": BadgeStyle("Person added", Tone.QUIET, "person"),
    "person.change_role": BadgeStyle("Role changed", Tone.QUIET, "person"),
    "person.change_password": BadgeStyle("Password changed", Tone.QUIET, "lock"),
    "person.disable": BadgeStyle("Locked out", Tone.CAUTION, "lock"),
    "person.enable": BadgeStyle("Let in again", Tone.QUIET, "person"),
    "person.end_sessions": BadgeStyle("Signed out", Tone.QUIET, "lock"),
    "token.create": BadgeStyle("Token created", Tone.QUIET, "ring"),
    "token.revoke": BadgeStyle("Token revoked", Tone.CAUTION, "lock"),
    "alert.override": BadgeStyle("Alert only notifies", Tone.CAUTION, "eye"),
    "alert.override_ask": BadgeStyle("Second owner asked", Tone.CAUTION, "person"),
    "alert.override_end": BadgeStyle("Alert acts again", Tone.QUIET, "eye"),
    "override.put": BadgeStyle("Override set", Tone.CAUTION, "person"),
    "override.remove": BadgeStyle("Override ended", Tone.QUIET, "person"),
    "override.expire": BadgeStyle("Override ended", Tone.QUIET, "person"),
    "directory.beta": BadgeStyle("Beta list", Tone.QUIET, "person"),
    "flag.create": BadgeStyle("Flag made", Tone.QUIET, "ring"),
    "flag.update": BadgeStyle("Flag changed", Tone.QUIET, "dot"),
    "flag.switch": BadgeStyle("Flag switched", Tone.ACCENT, "play"),
    "flag.restore": BadgeStyle("Flag restored", Tone.CAUTION, "back"),
    "flag.delete": BadgeStyle("Flag removed", Tone.CAUTION, "alarm"),
    "stale": BadgeStyle("Stale", Tone.CAUTION, "alarm"),
    "intact": BadgeStyle("Chain verified", Tone.GOOD, "check"),
    "broken": BadgeStyle("Chain broken", Tone.BAD, "alarm"),
    # operations on credits
    "allowed": BadgeStyle("Allowed", Tone.GOOD, "check"),
    "denied_limit": BadgeStyle("Over the limit", Tone.QUIET, "lock"),
    "denied_state": BadgeStyle("Not allowed", Tone.QUIET, "lock"),
    "error": BadgeStyle("Failed", Tone.BAD, "alarm"),
    "match": BadgeStyle("Same answer", Tone.GOOD, "check"),
    "policy": BadgeStyle("Differs by policy", Tone.QUIET, "ring"),
    "defect": BadgeStyle("Defect", Tone.BAD, "alarm"),
    "shadow_error": BadgeStyle("Shadow failed", Tone.CAUTION, "blind"),
    "shadow_shed": BadgeStyle("Shadow skipped", Tone.QUIET, "question"),
    "served_error": BadgeStyle("No answer to compare", Tone.CAUTION, "blind"),
    "served": BadgeStyle("Serves", Tone.ACCENT, "play"),
    "shadow": BadgeStyle("Shadow", Tone.QUIET, "ring"),
    "frozen": BadgeStyle("Frozen", Tone.CAUTION, "lock"),
    "credits.report_rollback": BadgeStyle("Effects counted", Tone.QUIET, "question"),
    "credits.approve_corrections": BadgeStyle("Corrections approved", Tone.CAUTION, "check"),
    # what a rollback left behind
    "prepared": BadgeStyle("Waits for approval", Tone.CAUTION, "pause"),
    "approved": BadgeStyle("Being posted", Tone.ACCENT, "play"),
    "settled": BadgeStyle("Settled", Tone.GOOD, "check"),
    "none": BadgeStyle("Owed nothing", Tone.QUIET, "ring"),
    "proposed": BadgeStyle("Proposed", Tone.QUIET, "question"),
    "posted": BadgeStyle("Given back", Tone.GOOD, "check"),
    "refused": BadgeStyle("Not possible", Tone.BAD, "alarm"),
    # what became of an alert of Alertmanager's, and of a notice
    "noted": BadgeStyle("Noted", Tone.QUIET, "ring"),
    "pending": BadgeStyle("On its way", Tone.QUIET, "ring"),
    "delivered": BadgeStyle("Delivered", Tone.GOOD, "check"),
    "dead": BadgeStyle("Given up", Tone.BAD, "alarm"),
    # people, tokens and services
    "active": BadgeStyle("Active", Tone.GOOD, "check"),
    "disabled": BadgeStyle("Locked out", Tone.QUIET, "lock"),
    "expired": BadgeStyle("Expired", Tone.QUIET, "ring"),
    "revoked": BadgeStyle("Revoked", Tone.QUIET, "lock"),
    "alive": BadgeStyle("Alive", Tone.GOOD, "check"),
    "silent": BadgeStyle("Silent", Tone.BAD, "alarm"),
    "ready": BadgeStyle("Ready", Tone.GOOD, "check"),
    "failing": BadgeStyle("Failing", Tone.BAD, "alarm"),
    # events of Stripe
    "event.new": BadgeStyle("New", Tone.ACCENT, "dot"),
    "event.claimed": BadgeStyle("Being applied", Tone.ACCENT, "play"),
    "event.parked": BadgeStyle("Waits", Tone.CAUTION, "pause"),
    "event.dead": BadgeStyle("Given up", Tone.BAD, "alarm"),
    "event.applied": BadgeStyle("Applied", Tone.GOOD, "check"),
    "event.superseded": BadgeStyle("Superseded", Tone.QUIET, "ring"),
    "event.ignored": BadgeStyle("Not ours", Tone.QUIET, "ring"),
    "event.refused": BadgeStyle("Refused", Tone.BAD, "lock"),
    "spike": BadgeStyle("Jump", Tone.CAUTION, "alarm"),
    "drop": BadgeStyle("Fall", Tone.CAUTION, "back"),
    # what became of a request
    "success": BadgeStyle("Done", Tone.GOOD, "check"),
    "refusal": BadgeStyle("Not possible now", Tone.BAD, "alarm"),
    "notice": BadgeStyle("Please note", Tone.ACCENT, "dot"),
}


def badge_style(token: str) -> BadgeStyle:
    """The face of `token`; one that the table does not know is shown quietly, in its own words."""
    known = STYLES.get(token)
    return known or BadgeStyle(token.rpartition(".")[2].replace("_", " ").capitalize(), Tone.QUIET, "ring")
