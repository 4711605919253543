"""Why something was refused, in the language of the page: by the code of the refusal. Pure.

English is the refusal's own sentence. Another language has one for each code below, which names no value but members of
the refusal; that of another code is found by its words, or stands as it was written.
"""

from collections.abc import Mapping

from control_plane.core.transitions import Reason
from control_plane.platform.problems import Problem
from dashboards.language import N_, SOURCE, gettext, language
from dashboards.stored_sentences import localized_text

SENTENCES: Mapping[str, str] = {
    # signing in, and one's own account
    "INVALID_CREDENTIALS": N_("The username or the password is wrong; try again."),
    "SIGN_IN_AGAIN": N_("That took too long; sign in again."),
    "WRONG_CODE": N_("The code is wrong, or was used already; wait for the next one."),
    "WRONG_PASSWORD": N_("The present password is wrong; nothing was changed."),
    "WEAK_PASSWORD": N_("The password is too weak, too short, too long or the present one; choose another."),
    "PASSWORDS_DIFFER": N_("The new password was typed in two ways; type the same twice."),
    "TOO_MANY_FAILURES": N_("Too many attempts failed; wait a while before the next one."),
    "TOO_MANY_SIGN_INS": N_("Too many people sign in at this moment; try again in a few seconds."),
    "NOT_PROVED": N_("The identity provider did not prove who you are; sign in again."),
    "NO_PROVIDER": N_("No identity provider is configured here; sign in with a password."),
    "PROVIDER_UNREACHABLE": N_("The identity provider does not answer; try again later, or sign in with a password."),
    "NO_ROLE": N_("The identity provider gives you no role here; ask an admin."),
    "LOCKED_OUT": N_("This account is locked out here; ask an admin."),
    "SECOND_FACTOR_REQUIRED": N_("Your role takes a second factor; set up an authenticator app on your account first."),
    "WRONG_PASSKEY": N_("This passkey can't be used here; take another one, or sign in in another way."),
    "TOO_MANY_PASSKEYS": N_("You have as many passkeys as you may; remove one first."),
    "PASSKEY_NOT_FOUND": N_("There is no such passkey any more."),
    "NO_SECOND_FACTOR": N_("There is no second factor to remove."),
    "PERSON_REQUIRED": N_("Only a person who has signed in has an account here."),
    # rights, people and tokens
    "ROLE_REQUIRED": N_("Your role does not cover this; ask an admin."),
    "CROSS_ORIGIN": N_("The form came from another site, so nothing was done; open the page here and send it again."),
    "PERSON_NOT_FOUND": N_("There is nobody with this number."),
    "LAST_ADMIN": N_("This is the last admin; make somebody else admin first."),
    "NOT_LOCKED": N_("This person is not locked out."),
    "USERNAME_TAKEN": N_("There is somebody of this name already; choose another name."),
    "INVALID_USERNAME": N_("The username can't be used; write small letters, digits, dots and hyphens."),
    "UNKNOWN_ROLE": N_("There is no such role."),
    "INVALID_GRANTS": N_("The roles in places can't be used; write one a line: role, flag, environment."),
    "TOKEN_NOT_FOUND": N_("There is no token with this number."),
    "UNKNOWN_TOKEN_TYPE": N_("There is no such type of token."),
    "INVALID_TOKEN_NAME": N_("The name of the token can't be used; write 1 to 100 letters."),
    "INVALID_TOKEN_ROLE": N_(
        "The role or the flags of the token can't be used; only tokens that open everything have them."
    ),
    "INVALID_TOKEN_PROJECTS": N_(
        "The projects of the token can't be used; only tokens that open flags have them, by their names with commas "
        "between."
    ),
    "INVALID_ENVIRONMENT": N_("The environment can't be used; name one, such as production."),
    # what is asked for, and what isn't there
    "REASON_REQUIRED": N_("Say why: a reason is required."),
    "REASON_TOO_LONG": N_("The reason is too long."),
    "DOCUMENT_TOO_LONG": N_("The document is too long."),
    "NO_STRIPE_KEY": N_("Stripe can't be asked: set `STRIPE_API_KEY` to a restricted key that may read."),
    "NOTE_REQUIRED": N_("Say in a note what was done, or give a link to it."),
    "NOTE_TOO_LONG": N_("The note or the link is too long."),
    "INVALID_LINK": N_("A link begins with https:// or http://."),
    "TICKED_BY_CHECK": N_("This item is ticked by its check, not by hand."),
    "NOT_SIGNED": N_("Nobody has signed this item."),
    "NOT_FOUND": N_("There is nothing at this address; check it."),
    "METHOD_NOT_ALLOWED": N_("This address can't be opened like that; open the page before it and begin again."),
    "CONTENT_TOO_LARGE": N_("The form is larger than this address accepts; send less at a time."),
    "ROLLOUT_NOT_FOUND": N_("There is no rollout of this name."),
    "FLAG_NOT_FOUND": N_("There is no flag of this name here."),
    "ALERT_NOT_FOUND": N_("No rollout is guarded by an alert of this name; see the list."),
    "EVENT_NOT_FOUND": N_("The inbox holds no such event."),
    "OVERRIDE_NOT_FOUND": N_("There is no such override any more."),
    "SEGMENT_NOT_FOUND": N_("There is no segment of this number here."),
    "SEGMENT_IN_USE": N_("Flags refer to this segment: %(flags)s. Change those first."),
    "SEGMENT_IN_PLANS": N_("Plans name this segment: %(plans)s. Write its conditions into those first."),
    "FLAG_IN_USE": N_("Flags depend on this flag: %(flags)s. Change those first."),
    "FLAG_EXISTS": N_("There is a flag of this name already."),
    "INVALID_USER_ID": N_("The user id can't be used."),
    "INVALID_DURATION": N_("An override lasts 1 to 60 minutes."),
    "PLAN_REQUIRED": N_("Name a plan for a user whom the directory does not know yet."),
    "TRIPWIRE": N_("This alert trips on the first bad outcome and can't be overruled."),
    "TOO_MANY_KEPT_OUT": N_("No more users can be kept out by name; end overrides that are needed no more."),
    # moves of a rollout
    "GATE_CLOSED": N_("A gate is closed."),
    "GATE_UNKNOWN": N_("A gate can't tell yet, so a person's approval with a reason is needed."),
    "AT_LOWEST_STEP": N_("The rollout is at its lowest step already."),
    "ALREADY_HELD": N_("The rollout is held already."),
    "NOT_HELD": N_("The rollout is not held."),
    "NOT_RUNNING": N_("The rollout is not running."),
    "ALREADY_ROLLED_BACK": N_("The rollout is rolled back already."),
    "NOT_ROLLED_BACK": N_("The rollout is not rolled back."),
    "ROLLED_BACK": N_("The rollout is rolled back; re-arm it first."),
    "COOL_DOWN": N_("The cool-down is not over yet."),
    "ARCHIVED": N_("The rollout is archived; revive it first."),
    "VERSION_CONFLICT": N_("Somebody else changed it at the same moment; look again."),
    "STEP_ADMITS_USERS": N_("The step back would admit users; advance instead."),
    "PLAN_TIME_OVER": N_("A time of the plan is over, and would advance the rollout at once; leave it out."),
    "ROLLOUT_EXISTS": N_("The flag has a rollout already."),
    "USERS_WOULD_MOVE": N_("Users would move by this; confirm it if you want that."),
    # what is rare on a page
    "APPROVAL_REQUIRED": N_("The plan takes approvals before that: somebody gains the flag, or it asks for fewer."),
    "CHECK_FAILS": N_("This is not true now, so it can't be signed."),
    "CHECK_UNKNOWN": N_("An item names a check that is not known here."),
    "CONSTRAINT_INVALID": N_("A condition on customers can't be used: engines would read it in different ways."),
    "EVENT_BODY_DROPPED": N_("The body of this event is no longer kept, so it can't be applied once more."),
    "EVENT_IN_WORK": N_("The event is being applied at this moment; try again in a minute."),
    "FINDING_NOT_FOUND": N_("This finding is not open any more."),
    "FLAG_NOT_PLANNED": N_("The flag needs a rollout of its own before one of its environments has one."),
    "FLAG_UNDER_ROLLOUT": N_("The flag is under a rollout, and only the rollout decides who gets it."),
    "FLAG_VERSION_EMPTY": N_(
        "This version has no content to restore: the flag was removed, or it is older than the trail."
    ),
    "FLAG_VERSION_NOT_FOUND": N_("The trail has no such version of the flag."),
    "HELD_BY_PERSON": N_("Only a person resumes this rollout."),
    "INCOMPLETE_BODY": N_("The form arrived only in part; send it again."),
    "INVALID_CHARACTER": N_("The address holds a character that can't be used."),
    "INVALID_EXPIRY": N_("The end can't be used; it lies in the future."),
    "INVALID_FLAG_NAME": N_("The name of the flag can't be used; choose another name."),
    "INVALID_INSTANT": N_("A date or a time can't be read."),
    "INVALID_PLAN": N_("The plan can't be used."),
    "INVALID_REASON": N_("The report can't be approved as it stands, or without a reason."),
    "CORRECTION_REFUSED": N_("The credits can't be corrected in this way; nothing was changed."),
    "UNKNOWN_PACK": N_("There is no such pack of credits."),
    "UNKNOWN_PLAN": N_("There is no such plan of credits."),
    "UNKNOWN_USER": N_("The directory does not know this user; add them first."),
    "DATABASE_SPREAD": N_("The database is spread over several; erase in a copy on one database, and restore from it."),
    "ERASED_ALREADY": N_("This is the pseudonym of somebody who was erased."),
    "EVENTS_WAITING": N_("Events of Stripe about them are being applied; try again in a minute."),
    "IS_MEMBER": N_("They spend from another account; remove them there first, and try again in ten seconds."),
    "NAME_IS_A_WORD": N_("The name is a word of the program too; merge them into a user of another name first."),
    "NAME_TOO_SHORT": N_("A name is too short to be searched for; write 3 characters or more."),
    "REASON_NAMES_PERSON": N_("The reason names the person; it is kept, so write it without."),
    "RESERVATION_OPEN": N_("Credits are reserved; they are settled within 15 minutes, so try again then."),
    "SUBSCRIPTION_RUNNING": N_("A subscription still runs; cancel it at Stripe first, at once."),
    "TOP_UP_OPEN": N_("A pack is being bought for them at Stripe; that ends within minutes."),
    "FROZEN": N_("Their credits are frozen; unfreeze them first."),
    "MERGED_ALREADY": N_("The other user is part of somebody else; merge into that one."),
    "NO_BILLING": N_("This user is no customer of Stripe's, so nothing can move."),
    "NOT_IN_CATALOGUE": N_("The catalogue lacks the price or the plan of one of them; add it first."),
    "PAYMENT_DISPUTED": N_("A payment of theirs is disputed; merge once that is won or lost."),
    "SAME_USER": N_("Nobody can be merged into themselves."),
    "ACCOUNT_IS_MEMBER": N_("This user spends from another account, and has none that others could spend from."),
    "HAS_MEMBERS": N_(
        "This user has members, so they can't become one, nor be merged into somebody; remove those first."
    ),
    "INVALID_LIMIT": N_("A member's limit is a whole number; leave out what has none."),
    "NO_MEMBER": N_("This user is no member of an organisation any more."),
    "NO_SEAT_LEFT": N_("All seats of the account are taken; buy another one first."),
    "OTHER_ACCOUNT": N_("This user is a member of another account; remove them there first."),
    "OWN_ACCOUNT": N_("Nobody is a member of their own account."),
    "INVALID_TEXT": N_("A text is empty, too long, or holds what can't be printed."),
    "ITEM_NOT_FOUND": N_("There is no such item of a checklist."),
    "NOT_ARCHIVED": N_("The rollout is not archived; archive it first."),
    "NOT_CORRECTABLE": N_("A person has to look at this; it can't be corrected from here."),
    "NOT_ENDED": N_("The rollout is under way; complete it or roll it back first."),
    "NOT_OF_ONE_ENVIRONMENT": N_("The rollout of one environment is given back; the flag is archived as a whole."),
    "FLAG_HELD": N_("The whole flag is held there; resume it first."),
    "NO_APPROVAL_NEEDED": N_("The plan asks for no approval of that."),
    "NO_OWN_APPROVAL": N_("You approve nothing here that could be taken back."),
    "NO_NEXT_STEP": N_("There is no next step; what can be approved is a change of the plan."),
    "OPERATION_NOT_FOUND": N_("The journal has no entry of this number."),
    "OTHER_ATTEMPT": N_("The cause belongs to another attempt than the present one."),
    "ACCESS_SHARED": N_(
        "An approval does not count if one person gave both of you access, or one of you the other, shortly before."
    ),
    "OWN_PLAN": N_("Whoever changed the plan last can't approve it; somebody else has to."),
    "PLAN_INVALID": N_("The plan can't be used."),
    "PLAN_VERSION_NOT_FOUND": N_("The plan has no version of this number."),
    "UNKNOWN_ROLLBACK_REPORT": N_("There is no report on this attempt; one is made within seconds of a rollback."),
    "REQUEST_TIMEOUT": N_("The form did not arrive in time; send it again."),
    "ROLLOUT_ARCHIVED": N_("The rollout is archived; revive it first."),
    "SECOND_FACTOR_EXISTS": N_("An authenticator app is set up already; remove it first, with one of its codes."),
    "SEGMENT_CHANGED": N_(
        "A segment was changed since you saw it; look at what the plan would change, then save again."
    ),
    "SEGMENT_IDS_CONFLICT": N_(
        "SDKs could not tell the user lists of this flag from those of another; choose another name."
    ),
    "STRIPE_UNAVAILABLE": N_("Stripe does not answer; try again later. What was corrected stays so."),
    "TOO_MANY_BODIES": N_("Too many forms are being sent slowly; send this one again in a moment."),
    "TOO_MANY_FLAGS": N_("The environment would have too many flags; remove some first."),
    "UNAUTHENTICATED": N_("Sign in first."),
    "UNSTORABLE_VALUE": N_("The form holds what can't be stored, such as a NUL character or too large a number."),
    "UNKNOWN_FORMAT": N_("There is no such format."),
    "UNKNOWN_LANGUAGE": N_("There are no pages in this language."),
    "UNKNOWN_ORDER": N_("There is no such fault; choose one of the list."),
    "UNKNOWN_PARAMETER": N_("The address holds a parameter that there is not."),
    "UNKNOWN_STATE": N_("There is no such state here."),
    "UNKNOWN_TEMPLATE": N_("There is no such template."),
    "USER_NOT_FOUND": N_("The directory does not know this user."),
    # the server
    "TOO_MANY_STREAMS": N_("This server updates as many pages live as it may; try again later."),
    "DATABASE_UNAVAILABLE": N_("The database does not answer at the moment; try again."),
    "INTERNAL_SERVER_ERROR": N_("Something went wrong here; it was logged under the number of the request."),
}
TITLES: Mapping[int, str] = {
    400: N_("Bad Request"),
    401: N_("Unauthorized"),
    403: N_("Forbidden"),
    404: N_("Not Found"),
    405: N_("Method Not Allowed"),
    409: N_("Conflict"),
    422: N_("Unprocessable Content"),
    429: N_("Too Many Requests"),
    500: N_("Internal Server Error"),
    503: N_("Service Unavailable"),
}
NO_VALUES: Mapping[str, object] = {}


def problem_title(problem: Problem) -> str:
    """Return what a page about this problem is headed."""
    if language() != SOURCE and problem.status in TITLES:
        return gettext(TITLES[problem.status])
    return problem.title.capitalize()


def problem_sentence(problem: Problem) -> str:
    """Say what stands in the way."""
    return _sentence(problem.code, problem.detail, {name: _listed(value) for name, value in problem.members.items()})


def reason_sentence(reason: Reason) -> str:
    """Say one thing that stands in the way of a move."""
    return _sentence(reason.code, reason.sentence)


def unchanged(why: Problem | str) -> str:
    """Say that nothing was changed, and in the next line why."""
    summary = gettext("Nothing was changed.")
    return f"{summary}\n{problem_sentence(why) if isinstance(why, Problem) else why}"


def _sentence(code: str, written: str, values: Mapping[str, object] = NO_VALUES) -> str:
    if language() == SOURCE:
        return written
    if code not in SENTENCES:
        return localized_text(written)
    try:
        return gettext(SENTENCES[code], **values)
    except KeyError:  # the same code without that member
        return written


def _listed(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
