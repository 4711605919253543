"""The one table from a status token to what people see of it: a label, a tone and an icon.

Timeline, badge, chart and flash all look here, so a status has one face. Colour is never the only sign: each tone comes
with an icon of its own shape, and with the word.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from dashboards.filters import plain
from dashboards.language import N_, gettext


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
    "running": BadgeStyle(N_("Running"), Tone.ACCENT, "play"),
    "held": BadgeStyle(N_("Held"), Tone.CAUTION, "pause"),
    "rolled_back": BadgeStyle(N_("Rolled back"), Tone.BAD, "back"),
    "complete": BadgeStyle(N_("Complete"), Tone.GOOD, "check"),
    "archived": BadgeStyle(N_("Archived"), Tone.QUIET, "lock"),
    "not_requested": BadgeStyle(N_("Not requested"), Tone.QUIET, "ring"),
    "not_known": BadgeStyle(N_("Not known here"), Tone.CAUTION, "question"),
    # its phases and steps
    "done": BadgeStyle(N_("Done"), Tone.GOOD, "check"),
    "current": BadgeStyle(N_("Now"), Tone.ACCENT, "dot"),
    "upcoming": BadgeStyle(N_("Later"), Tone.QUIET, "ring"),
    "stopped": BadgeStyle(N_("Stopped here"), Tone.BAD, "back"),
    # gates
    "open": BadgeStyle(N_("Open"), Tone.GOOD, "check"),
    "closed": BadgeStyle(N_("Closed"), Tone.CAUTION, "lock"),
    "unknown": BadgeStyle(N_("Can't tell yet"), Tone.QUIET, "question"),
    # items of checklists
    "ticked": BadgeStyle(N_("Done"), Tone.GOOD, "check"),
    "unsigned": BadgeStyle(N_("To be signed"), Tone.QUIET, "ring"),
    "not_true": BadgeStyle(N_("Not so yet"), Tone.CAUTION, "alarm"),
    "late": BadgeStyle(N_("Late"), Tone.CAUTION, "alarm"),
    "checklist.sign": BadgeStyle(N_("Item signed"), Tone.GOOD, "check"),
    "checklist.withdraw": BadgeStyle(N_("Signature taken back"), Tone.CAUTION, "back"),
    "credits.load_test": BadgeStyle(N_("Load test"), Tone.QUIET, "question"),
    "credits.restore_test": BadgeStyle(N_("Restore test"), Tone.QUIET, "question"),
    # versions of plans and prices
    "in_force": BadgeStyle(N_("In force"), Tone.GOOD, "check"),
    "replaced": BadgeStyle(N_("Replaced"), Tone.QUIET, "back"),
    "to_come": BadgeStyle(N_("To come"), Tone.ACCENT, "ring"),
    # the guard's verdicts
    "ok": BadgeStyle(N_("Fine"), Tone.GOOD, "check"),
    "insufficient": BadgeStyle(N_("Too little traffic"), Tone.QUIET, "ring"),
    "watch": BadgeStyle(N_("Watching"), Tone.CAUTION, "eye"),
    "blind": BadgeStyle(N_("Blind"), Tone.CAUTION, "blind"),
    "hold": BadgeStyle(N_("Holding"), Tone.CAUTION, "pause"),
    "rollback": BadgeStyle(N_("Breached"), Tone.BAD, "alarm"),
    # whose fault a breach is
    "v2_only": BadgeStyle(N_("Only v2"), Tone.BAD, "alarm"),
    "shared": BadgeStyle(N_("Both sides"), Tone.CAUTION, "pause"),
    "legacy": BadgeStyle(N_("Legacy"), Tone.CAUTION, "pause"),
    # steps of an explanation
    "decided": BadgeStyle(N_("Decides"), Tone.ACCENT, "play"),
    "matched": BadgeStyle(N_("Applies, does not decide"), Tone.QUIET, "dot"),
    "passed": BadgeStyle(N_("Does not apply"), Tone.QUIET, "ring"),
    # answers of the flag, and what an override does
    "on": BadgeStyle(N_("On"), Tone.GOOD, "check"),
    "off": BadgeStyle(N_("Off"), Tone.QUIET, "ring"),
    "allow": BadgeStyle(N_("Let in"), Tone.GOOD, "check"),
    "deny": BadgeStyle(N_("Kept out"), Tone.CAUTION, "lock"),
    # the audit trail
    "rollout.plan": BadgeStyle(N_("Planned"), Tone.QUIET, "ring"),
    "rollout.advance": BadgeStyle(N_("Advanced"), Tone.GOOD, "forward"),
    "rollout.step_back": BadgeStyle(N_("Stepped back"), Tone.CAUTION, "back"),
    "rollout.hold": BadgeStyle(N_("Held"), Tone.CAUTION, "pause"),
    "rollout.resume": BadgeStyle(N_("Resumed"), Tone.ACCENT, "play"),
    "rollout.roll_back": BadgeStyle(N_("Rolled back"), Tone.BAD, "back"),
    "rollout.rearm": BadgeStyle(N_("Re-armed"), Tone.ACCENT, "forward"),
    "rollout.edit_plan": BadgeStyle(N_("Plan changed"), Tone.QUIET, "dot"),
    "rollout.approve": BadgeStyle(N_("Approved"), Tone.ACCENT, "check"),
    "rollout.withdraw_approval": BadgeStyle(N_("Approval taken back"), Tone.CAUTION, "back"),
    "rollout.approve_plan": BadgeStyle(N_("Change of the plan approved"), Tone.CAUTION, "check"),
    "rollout.archive": BadgeStyle(N_("Archived"), Tone.QUIET, "lock"),
    "rollout.revive": BadgeStyle(N_("Revived"), Tone.ACCENT, "play"),
    "rollout.delete": BadgeStyle(N_("Deleted"), Tone.CAUTION, "alarm"),
    "billing.replay": BadgeStyle(N_("Event applied again"), Tone.QUIET, "forward"),
    "billing.price": BadgeStyle(N_("Price added"), Tone.QUIET, "dot"),
    "credits.plan": BadgeStyle(N_("Credit plan changed"), Tone.CAUTION, "dot"),
    "credits.kind": BadgeStyle(N_("Kind of credits added"), Tone.QUIET, "dot"),
    "person.create": BadgeStyle(N_("Person added"), Tone.QUIET, "person"),
    "person.change_role": BadgeStyle(N_("Role changed"), Tone.QUIET, "person"),
    "person.change_password": BadgeStyle(N_("Password changed"), Tone.QUIET, "lock"),
    "person.change_language": BadgeStyle(N_("Language changed"), Tone.QUIET, "person"),
    "person.disable": BadgeStyle(N_("Locked out"), Tone.CAUTION, "lock"),
    "person.enable": BadgeStyle(N_("Let in again"), Tone.QUIET, "person"),
    "person.end_sessions": BadgeStyle(N_("Signed out"), Tone.QUIET, "lock"),
    "token.create": BadgeStyle(N_("Token created"), Tone.QUIET, "ring"),
    "token.revoke": BadgeStyle(N_("Token revoked"), Tone.CAUTION, "lock"),
    "alert.override": BadgeStyle(N_("Alert only notifies"), Tone.CAUTION, "eye"),
    "alert.override_ask": BadgeStyle(N_("Second owner asked"), Tone.CAUTION, "person"),
    "alert.override_end": BadgeStyle(N_("Alert acts again"), Tone.QUIET, "eye"),
    "override.put": BadgeStyle(N_("Override set"), Tone.CAUTION, "person"),
    "override.remove": BadgeStyle(N_("Override ended"), Tone.QUIET, "person"),
    "override.expire": BadgeStyle(N_("Override ended"), Tone.QUIET, "person"),
    "directory.beta": BadgeStyle(N_("Beta list"), Tone.QUIET, "person"),
    "flag.create": BadgeStyle(N_("Flag made"), Tone.QUIET, "ring"),
    "flag.update": BadgeStyle(N_("Flag changed"), Tone.QUIET, "dot"),
    "flag.switch": BadgeStyle(N_("Flag switched"), Tone.ACCENT, "play"),
    "flag.restore": BadgeStyle(N_("Flag restored"), Tone.CAUTION, "back"),
    "flag.delete": BadgeStyle(N_("Flag removed"), Tone.CAUTION, "alarm"),
    "segment.create": BadgeStyle(N_("Segment made"), Tone.QUIET, "ring"),
    "segment.update": BadgeStyle(N_("Segment changed"), Tone.QUIET, "dot"),
    "segment.delete": BadgeStyle(N_("Segment removed"), Tone.CAUTION, "alarm"),
    "missing": BadgeStyle(N_("Missing"), Tone.CAUTION, "alarm"),
    "stale": BadgeStyle(N_("Stale"), Tone.CAUTION, "alarm"),
    "intact": BadgeStyle(N_("Chain verified"), Tone.GOOD, "check"),
    "broken": BadgeStyle(N_("Chain broken"), Tone.BAD, "alarm"),
    # operations on credits
    "allowed": BadgeStyle(N_("Allowed"), Tone.GOOD, "check"),
    "denied_limit": BadgeStyle(N_("Over the limit"), Tone.QUIET, "lock"),
    "denied_state": BadgeStyle(N_("Not allowed"), Tone.QUIET, "lock"),
    "error": BadgeStyle(N_("Failed"), Tone.BAD, "alarm"),
    "match": BadgeStyle(N_("Same answer"), Tone.GOOD, "check"),
    "policy": BadgeStyle(N_("Differs by policy"), Tone.QUIET, "ring"),
    "defect": BadgeStyle(N_("Defect"), Tone.BAD, "alarm"),
    "shadow_error": BadgeStyle(N_("Shadow failed"), Tone.CAUTION, "blind"),
    "shadow_shed": BadgeStyle(N_("Shadow skipped"), Tone.QUIET, "question"),
    "served_error": BadgeStyle(N_("No answer to compare"), Tone.CAUTION, "blind"),
    "served": BadgeStyle(N_("Serves"), Tone.ACCENT, "play"),
    "shadow": BadgeStyle(N_("Shadow"), Tone.QUIET, "ring"),
    "frozen": BadgeStyle(N_("Frozen"), Tone.CAUTION, "lock"),
    "credits.report_rollback": BadgeStyle(N_("Effects counted"), Tone.QUIET, "dot"),
    "billing.compare": BadgeStyle(N_("Compared with Stripe"), Tone.QUIET, "eye"),
    "credits.approve_corrections": BadgeStyle(N_("Corrections approved"), Tone.CAUTION, "check"),
    # what a rollback left behind
    "prepared": BadgeStyle(N_("Waits for approval"), Tone.CAUTION, "pause"),
    "approved": BadgeStyle(N_("Being posted"), Tone.ACCENT, "play"),
    "settled": BadgeStyle(N_("Settled"), Tone.GOOD, "check"),
    "none": BadgeStyle(N_("Owed nothing"), Tone.QUIET, "ring"),
    "proposed": BadgeStyle(N_("Proposed"), Tone.QUIET, "ring"),
    "posted": BadgeStyle(N_("Given back"), Tone.GOOD, "check"),
    "refused": BadgeStyle(N_("Not possible"), Tone.BAD, "alarm"),
    # what became of an alert of Alertmanager's, and of a notice
    "noted": BadgeStyle(N_("Noted"), Tone.QUIET, "ring"),
    "pending": BadgeStyle(N_("On its way"), Tone.QUIET, "ring"),
    "delivered": BadgeStyle(N_("Delivered"), Tone.GOOD, "check"),
    "dead": BadgeStyle(N_("Given up"), Tone.BAD, "alarm"),
    # people, tokens and services
    "active": BadgeStyle(N_("Active"), Tone.GOOD, "check"),
    "disabled": BadgeStyle(N_("Locked out"), Tone.QUIET, "lock"),
    "expired": BadgeStyle(N_("Expired"), Tone.QUIET, "ring"),
    "revoked": BadgeStyle(N_("Revoked"), Tone.QUIET, "lock"),
    "alive": BadgeStyle(N_("Alive"), Tone.GOOD, "check"),
    "silent": BadgeStyle(N_("Silent"), Tone.BAD, "alarm"),
    "ready": BadgeStyle(N_("Ready"), Tone.GOOD, "check"),
    "failing": BadgeStyle(N_("Failing"), Tone.BAD, "alarm"),
    # events of Stripe
    "event.new": BadgeStyle(N_("New"), Tone.ACCENT, "dot"),
    "event.claimed": BadgeStyle(N_("Being applied"), Tone.ACCENT, "play"),
    "event.parked": BadgeStyle(N_("Waits"), Tone.CAUTION, "pause"),
    "event.dead": BadgeStyle(N_("Given up"), Tone.BAD, "alarm"),
    "event.applied": BadgeStyle(N_("Applied"), Tone.GOOD, "check"),
    "event.superseded": BadgeStyle(N_("Superseded"), Tone.QUIET, "ring"),
    "event.ignored": BadgeStyle(N_("Not ours"), Tone.QUIET, "ring"),
    "event.refused": BadgeStyle(N_("Refused"), Tone.BAD, "lock"),
    "spike": BadgeStyle(N_("Jump"), Tone.CAUTION, "alarm"),
    "drop": BadgeStyle(N_("Fall"), Tone.CAUTION, "back"),
    # what became of a request
    "success": BadgeStyle(N_("Done"), Tone.GOOD, "check"),
    "refusal": BadgeStyle(N_("Not possible now"), Tone.BAD, "alarm"),
    "notice": BadgeStyle(N_("Please note"), Tone.ACCENT, "dot"),
}


def badge_style(token: str) -> BadgeStyle:
    """Return the face of `token`; one that the table does not know is shown quietly, in its own words."""
    known = STYLES.get(token)
    if known is None:
        return BadgeStyle(plain(token.rpartition(".")[2]), Tone.QUIET, "ring")
    return replace(known, label=gettext(known.label))
