"""What billing writes down as text, as templates: of Stripe's events, of credits in the journal, of findings. Pure."""

from dashboards.language import N_

SENTENCES = (
    # what differs from Stripe
    N_("Price %(price)s is on sale at Stripe and buys no plan of the catalogue."),
    N_("Customer %(customer)s is not linked to a user; use `rollout billing link`."),
    N_("Stripe has it as %(status)s, we know it not at all."),
    N_("Stripe has %(differences)s, and we know it as of %(at)s."),
    N_("An event was missed or is on its way."),
    N_("Invoice %(invoice)s is paid, and we do not know."),
    N_("We rely on this subscription, and Stripe does not have it."),
    N_("Subscription %(subscription)s is for %(prices)s, which buys no plan we know."),
    N_("Add the price to a plan of the catalogue."),
    N_("The directory has plan %(plan)s, and Stripe's facts give another one."),
    N_("The directory has no plan, and Stripe's facts give one."),
    N_("Stripe made %(type)s, and no delivery brought it."),
    N_("Stripe has %(object)s of %(at)s, and no event told us."),
    N_("Stripe lists events for 30 days; those from %(since)s to %(until)s were not read."),
    # what became of an event
    N_("Refused: the event is of the account %(account)s, which STRIPE_ACCOUNTS does not list."),
    N_(
        "Refused: only events of Stripe's live mode count here, and this one is of its test mode (livemode: "
        "%(livemode)s); STRIPE_LIVEMODE says which count."
    ),
    N_(
        "Refused: only events of Stripe's test mode count here, and this one is of its live mode (livemode: "
        "%(livemode)s); STRIPE_LIVEMODE says which count."
    ),
    N_("An earlier event said the same."),
    N_("Stored; it takes effect once its invoice is known."),
    N_("Stored; no subscription grants anything yet."),
    N_("Credits do not depend on %(type)s."),
    N_("The customer is user %(user)s."),
    N_("This purchase is known already."),
    N_("No subscription is theirs any more."),
    N_("Confirmed."),
    N_("Subscription %(subscription)s is %(status)s and grants %(plan)s."),
    N_("Subscription %(subscription)s ended at %(at)s."),
    N_("Subscription %(subscription)s is known as of %(at)s, which is later than this event."),
    N_("Customer %(customer)s is not linked to a user yet; a checkout, metadata or `rollout billing link` does that."),
    N_(
        "Customer %(customer)s is user %(user)s, and the event names %(named)s; correct the metadata in Stripe, or "
        "`rollout billing merge` the users."
    ),
    N_("A thin event is only a pointer; STRIPE_API_KEY lets us follow it."),
    N_("This checkout names no pack that is on sale."),
    N_("With STRIPE_API_KEY its lines would have been asked for as well."),
    N_("Nothing that we know was bought with this payment; it takes effect once that is known."),
    N_("How many packs were paid for is not known, since the event shows no line items."),
    N_(
        "Set STRIPE_API_KEY, so that we can ask Stripe, or put the price of one into the metadata "
        "(credit_pack_unit_amount)."
    ),
    N_("The invoice has more lines than the event shows, and none of those shown is for its subscription."),
    N_("Set STRIPE_API_KEY, so that we can ask Stripe for the others."),
    N_("A checkout paid for %(price)s, which buys no pack we know."),
    N_("Add the price to the packs on sale."),
    N_("The body of this event was dropped after its time; it can't be read."),
    N_("Given up: %(attempts)s attempts ended with their worker."),
    # what changed by it, in the inbox and in the journal
    N_("Credits reset for %(user)s: a period paid for begins at %(at)s."),
    N_("Limits of %(plan)s instead of %(before)s; what was used stays used."),
    N_("Plan %(plan)s instead of %(before)s."),
    N_("Periods are counted from %(at)s."),
    N_("No anchor."),
    N_("The period until %(at)s is open."),
    N_("Bought %(price)s for %(credits)s, told by %(event)s."),
    N_("A pack of %(credits)s until %(at)s."),
    N_("The pack %(price)s was paid so long ago that it ended at %(at)s."),
    N_("The money was not given back after all, told by %(event)s."),
    N_("%(credits)s of pack %(pack)s are put back: the money was not given back after all."),
    N_("%(credits)s of pack %(pack)s are taken back with the money."),
    N_("Pack %(pack)s is ended: its payment was given back, with %(credits)s unspent."),
    N_("Given back in full, told by %(event)s."),
    N_("Given back in part, told by %(event)s."),
    N_("%(credits)s of a pack expired at %(at)s."),
    N_("Neither committed nor released by %(at)s."),
    N_("Upgraded from %(before)s to %(plan)s: new limits at once, usage kept."),
    # why an account may not consume
    N_("The subscription is paused; resume it to go on."),
    N_("Collection is paused and invoices are voided; paying the next period ends this."),
    N_("A payment is disputed since %(at)s; this ends when the dispute is won."),
    N_("Payment has been failing since %(at)s, longer than the %(days)s days of grace; pay the open invoice to go on."),
    N_("Invoice %(invoice)s was voided, so nothing pays for this period; the next paid one ends this."),
    N_("Invoice %(invoice)s was given up, so nothing pays for this period; the next paid one ends this."),
    N_("The payment of invoice %(invoice)s was lost in a dispute; the next paid one ends this."),
)

DIFFERENCES = (
    N_("status %(theirs)s instead of %(ours)s"),
    N_("prices %(theirs)s instead of %(ours)s"),
    N_("period until %(theirs)s instead of %(ours)s"),
    N_("anchor %(theirs)s instead of %(ours)s"),
    N_("cancelled for %(theirs)s instead of %(ours)s"),
    N_("ends with its period %(theirs)s instead of %(ours)s"),
    N_("collection paused by %(theirs)s instead of %(ours)s"),
    N_("another period"),
)
"""What Stripe has otherwise than we; a sentence has one of them, or several with commas between."""
