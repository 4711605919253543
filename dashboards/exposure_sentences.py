"""Who gains a flag and who loses it by a change, as templates. Pure."""

from dashboards.language import N_

SENTENCES = (
    # what a change takes, or gives, and to how many; `mistake` is one of those below
    N_("The next step takes the flag from %(users)s in %(environment)s: %(mistake)s"),
    N_("The edit takes the flag from %(users)s in %(environment)s: %(mistake)s"),
    N_("Planning %(rollout)s takes the flag from %(users)s in %(environment)s: %(mistake)s"),
    N_("Without %(rollout)s, %(flag)s decides and takes the flag from %(users)s in %(environment)s: %(mistake)s"),
    N_("Without %(rollout)s, users gain the flag: %(mistake)s"),
    N_("%(phase)s at %(percentage)s would take %(flag)s from users: %(mistake)s"),
    N_("Everybody whom the plan of %(flag)s reaches has it, and would lose it."),
    N_("%(flag)s is still on in %(environments)s, which would lose it."),
    N_("%(rollouts)s would end with it."),
    N_("The edit would let users in without an advance, so put that into a later step."),
    N_("A new attempt would begin with more users than now; keep the lowest step, and put that after it."),
    N_("Confirm that you want that."),
    N_("Confirm that users lose it if you want that."),
    N_("Confirm that users gain it if you want that."),
    # why somebody loses it
    N_("The environment variable switches the flag off."),
    N_("The environment variable no longer switches the flag on for everybody."),
    N_("The rollout is rolled back: %(why)s"),
    N_("The guard's lease has ended, so nobody is exposed."),
    N_("Renaming %(flag)s to %(other)s gives every user another bucket."),
    N_("The environment %(environment)s is no longer on as a whole."),
    N_("The beta allowlist is closed."),
    N_("New signups go down from %(larger)s to %(smaller)s."),
    N_("Everyone goes down from %(larger)s to %(smaller)s."),
    N_("%(cohort)s go down from %(larger)s to %(smaller)s."),
    N_("The cut-over of new signups moves from %(before)s to %(after)s."),
    N_("Newly denied: %(users)s."),
    N_("No longer allowed by name: %(users)s."),
    N_("Gone from the beta allowlist: %(users)s."),
    # one cohort, from what it had to what it has
    N_("%(cohort)s: from %(before)s to %(after)s."),
)
PARTS = (
    N_("1 known user"),
    N_("%(number)s known users"),
    N_("those after %(at)s"),
)
WORDS = {
    "on": N_("on"),
    "off": N_("off"),
    "Everyone": N_("Everyone"),
    "New signups": N_("New signups"),
    "The beta allowlist": N_("The beta allowlist"),
    "The environment as a whole": N_("The environment as a whole"),
}
