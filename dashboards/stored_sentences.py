"""Sentences of ours that are stored as text, in the language of the page: each is found again by its template. Pure.

A text that fits no template stands as it was written, in English, and is marked as such.
"""

import re
from functools import lru_cache

from babel.numbers import get_decimal_symbol
from markupsafe import Markup

from credits_engine.engines.amounts import KINDS, Amounts
from dashboards import (
    billing_sentences,
    catalogue_sentences,
    check_sentences,
    definition_sentences,
    exposure_sentences,
    incident_sentences,
    plan_sentences,
)
from dashboards.billing_sentences import DIFFERENCES
from dashboards.filters import IDENTIFIER, NARROW, credit_amounts, figures_in, iso_day, plain, span, stored_sentence
from dashboards.language import N_, SOURCE, gettext, language, locale
from dashboards.names import NAMES, SIDES
from dashboards.sentence_templates import template
from dashboards.time_zone import time_zone

CHARACTERS_MAX = 2000
CACHE_SIZE = 4096
ABOUT = re.compile(r"([a-z]+(?:_[a-z0-9]+)+): (.+)")
"""A sentence about an alert, as the guard begins it."""
END_OF_SENTENCE = re.compile(r"(?<=[.?!]) (?=[A-Z0-9`])")
CONJUNCTIONS = (" and ", " or ")
NEXT_DIFFERENCE = re.compile(rf", (?=(?:{'|'.join(each.partition(' %(')[0] for each in DIFFERENCES[:-1])}) )")
CREDITS = re.compile(r"\d{1,9} [a-z_]+(?: and \d{1,9} [a-z_]+)*")
WITHIN = "mistake"
"""The placeholder in whose place another sentence of these stands."""
LENGTH = re.compile(r"(\d{1,6})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DECIMAL = re.compile(rf"(?<![\w.:])(\d+)\.(?=\d+(?:{NARROW}%|$))")
"""The point of a share, and of a figure that stands alone; a version and an address have another one before it."""

WRITTEN = (
    # notifications
    N_("%(flag)s advanced"),
    N_("%(flag)s stepped back"),
    N_("%(flag)s held"),
    N_("%(flag)s resumed"),
    N_("%(flag)s rolled back to %(control)s"),
    N_("%(flag)s armed again"),
    N_("%(alert)s has nothing to judge by"),
    N_("%(alert)s is overridden until %(at)s UTC"),
    N_("%(alert)s: a second owner is needed"),
    N_("%(label)s was not told"),
    # decisions of the engines
    N_("The billing period grants %(credits)s."),
    N_("This month's pools hold %(credits)s."),
    N_(
        "%(missing)s asked for, %(left)s left; %(second)s asked for, %(rest)s left until the billing period ends at "
        "%(at)s."
    ),
    N_("%(missing)s asked for, %(left)s left until the billing period ends at %(at)s."),
    N_(
        "%(wanted)s asked for, %(used)s of %(limit)s used this calendar month and %(bought)s bought besides; the pool "
        "refills at %(at)s."
    ),
    N_("%(wanted)s asked for, %(used)s of %(limit)s used this calendar month; the pool refills at %(at)s."),
    N_("%(credits)s were left unused at %(at)s and can be spent until %(until)s."),
    *check_sentences.SENTENCES,
    # what an erasure leaves to people
    N_("What Stripe holds: delete the customer there."),
    N_("Exports and archives that were taken out, and logs: they are yours to remove."),
    N_("Backups that exist: the manifest beside them erases the person again after a restore."),
    # flags whose time is over
    N_("No SDK reported it in %(span)s."),
    N_("Complete for %(span)s: take its switch out of the code, then archive it."),
    N_("It is archived here, and it is still asked for by %(who)s."),
    N_("Nothing here has that name, and it is still asked for by %(who)s."),
    # reasons of the guard
    N_("%(users)s users are owed %(credits)s credits so far."),
    N_("1 user is owed %(credits)s credits so far."),
    N_("1 user is owed 1 credit so far."),
    N_("Fine."),
    N_("Likely over its threshold."),
    N_("Likely over its threshold, but %(control)s fails as well."),
    N_("Likely over its threshold, but it is %(control)s that fails."),
    N_("No alert holds it any more."),
    N_("The last window is over the threshold, which may be chance."),
    N_("%(control)s is at fault in %(faults)s in the last %(span)s."),
    N_("Over its threshold; rolls back if that lasts %(span)s."),
    N_("Over its threshold, but it can't tell %(candidate)s from %(control)s and nothing else blames %(candidate)s."),
    N_("Over its threshold, but %(control)s has served too little to tell whether it fails as well."),
    N_("Over its threshold, but not for certain in the requests that %(candidate)s served."),
    N_("Users are exposed, but nothing was counted for %(span)s."),
    N_("Exposure that nobody can watch ends."),
    N_("Held until the evidence stays low for %(span)s."),
    N_("Nothing happened in the last %(span)s."),
    N_("This alert only notifies."),
    N_("This alert holds at most."),
    N_("Nobody is exposed in production, so this holds."),
    N_("That says nothing against %(candidate)s, and going back would do harm."),
    N_("Failures come in bursts of about %(size)s here."),
    N_("Over its threshold, but %(control)s fails as well, so going back would not help."),
    N_("Over its threshold, but it is %(control)s that fails, so going back would do harm."),
    N_("Over its threshold, and %(candidate)s alone is to blame."),
    N_("Over its threshold; whether %(control)s would do better is not known."),
    N_(
        "%(bad)s of %(total)s users (%(share)s) were bad in the last %(span)s, and %(whole)s since the attempt began, "
        "each user once an hour; %(threshold)s of the users of an hour is allowed."
    ),
    N_("%(candidate)s failed operations of %(bad)s of %(total)s users."),
    N_("%(candidate)s failed %(bad)s of the %(total)s users whom it served."),
    N_("%(candidate)s answered %(bad)s of %(total)s users differently from %(control)s."),
    N_("%(candidate)s refused %(bad)s of %(total)s users what %(control)s grants."),
    N_("%(alert)s is over its threshold: it was bad for %(bad)s of %(total)s users."),
    N_("%(window)s were bad in the last %(span)s, and %(whole)s since the attempt began; %(threshold)s is allowed."),
    N_("Chance alone gets this far in at most 1 of %(attempts)s attempts; a rollback takes 1 of %(needed)s."),
    N_("Chance alone gets this far in at most 1 of %(attempts)s attempts."),
    N_("Chance alone explains it; a rollback takes 1 of %(needed)s."),
    N_("Chance alone explains it."),
    # as audit entries say it that were written before 1 December 2026
    N_(
        "Bad were %(bad)s of %(total)s users (%(share)s) in the last %(span)s and %(whole)s since the attempt began, "
        "each user once an hour; allowed are %(threshold)s of the users of an hour."
    ),
    N_("Bad were %(window)s in the last %(span)s and %(whole)s since the attempt began; allowed are %(threshold)s."),
    N_("Evidence 10^%(power)s; a rollback takes 10^%(needed)s."),
    N_("Evidence 10^%(power)s."),
    # what the guard found of a part of the traffic
    N_("All %(total)s operations %(part)s failed in %(candidate)s."),
    N_("All %(total)s operations %(part)s failed where %(candidate)s served them."),
    N_("All %(total)s operations %(part)s were answered differently by %(candidate)s."),
    N_("All %(total)s operations %(part)s were refused by %(candidate)s and granted by %(control)s."),
    N_("All %(total)s operations %(part)s were bad by %(alert)s."),
    N_("%(bad)s of %(total)s operations %(part)s failed in %(candidate)s."),
    N_("%(bad)s of %(total)s operations %(part)s failed where %(candidate)s served them."),
    N_("%(bad)s of %(total)s operations %(part)s were answered differently by %(candidate)s."),
    N_("%(bad)s of %(total)s operations %(part)s were refused by %(candidate)s and granted by %(control)s."),
    N_("%(bad)s of %(total)s operations %(part)s were bad by %(alert)s."),
    N_("These are too few accounts to speak for everybody."),
    N_("So this only notifies."),
    N_("%(control)s fails there as well, so going back would not help."),
    N_("That is likely over the threshold."),
    N_("That is over the threshold; whether %(control)s would do better is not known."),
    N_("That is over the threshold, and %(candidate)s alone is to blame."),
    N_("This holds at most."),
    N_("It rolls back if that lasts %(span)s."),
    N_("Held until the evidence stays low."),
    # reasons of the owner of a demonstration
    N_("A replay of the guide."),
    N_("Soak times of seconds, so that somebody can watch."),
    N_("This step has too few users to serve more operations."),
    N_("The chance that a rate is over its threshold is at most %(share)s, which the owner accepts."),
    # what a rollback leaves to do
    N_(
        "%(candidate)s served %(operations)s operations of %(users)s users during the incident; %(accounts)s accounts "
        "are owed credits."
    ),
    *billing_sentences.SENTENCES,
    *catalogue_sentences.SENTENCES,
    *definition_sentences.SENTENCES,
    *plan_sentences.SENTENCES,
    *incident_sentences.SENTENCES.values(),
    *incident_sentences.OF_MIGRATIONS,
    incident_sentences.BY_ITSELF,
    *exposure_sentences.SENTENCES,
)
"""In the order in which they are tried: what fits a special one must not be taken for a general one before."""


TEMPLATES = tuple(map(template, WRITTEN))
PARTS = tuple(
    map(
        template,
        (
            N_("%(bad)s of %(total)s users (%(share)s)"),
            N_("%(bad)s of %(total)s (%(share)s)"),
            N_("%(share)s of the users of an hour"),
            N_("%(share)s slower than %(limit)s"),
            N_("%(share)s above %(credits)s credits"),
            N_("of plan %(name)s"),
            N_("of kind %(name)s"),
            N_("of account %(name)s"),
            N_("near the limit"),
            *DIFFERENCES,
            *catalogue_sentences.READING,
            *exposure_sentences.PARTS,
        ),
    )
)
"""What may stand in a sentence in place of a value, and has words of ours itself."""
WORDS = {
    "none": N_("none"),
    "yes": N_("yes"),
    "no": N_("no"),
    **catalogue_sentences.WORDS,
    **exposure_sentences.WORDS,
    **SIDES,
}
"""Values that are words of ours."""


def localized(text: str) -> str | Markup:
    """Return a stored text in the language of the page, or marked as English where it can't be had in it."""
    if language() == SOURCE:
        return stored_sentence(text)
    found = _localized(language(), str(time_zone()), text)
    return found if found is not None else Markup('<span lang="en">{}</span>').format(stored_sentence(text))


def localized_text(text: str) -> str:
    """Return the same inside another sentence, where nothing can be marked."""
    found = _localized(language(), str(time_zone()), text) if language() != SOURCE else None
    return found if found is not None else stored_sentence(text)


@lru_cache(maxsize=CACHE_SIZE)
def _localized(_language: str, _zone: str, text: str) -> str | None:
    if len(text) > CHARACTERS_MAX:
        return None
    whole = _sentences(text)
    about = ABOUT.fullmatch(text) if whole is None else None
    rest = _sentences(about[2]) if about else None
    return f"{plain(about[1])}: {rest}" if about and rest else whole


def _sentences(text: str) -> str | None:
    found = [_sentence(each) for each in END_OF_SENTENCE.split(text)]
    return None if None in found else " ".join(map(str, found))


def _sentence(text: str) -> str | None:
    for each in TEMPLATES:
        values = each.values(text)
        if values is not None:
            localized = {name: _value(name, value) for name, value in values.items()}
            return gettext(each.message, **localized)
    return None


def _value(name: str, text: str) -> str:
    return localized_text(text) if name == WITHIN else localized_value(text)


def localized_value(text: str) -> str:
    """Write a value in a sentence: a share, what is allowed, a part of the traffic, a length of time, a day, names."""
    if CREDITS.fullmatch(text):
        amounts = [each.split(" ") for each in text.split(" and ")]
        if all(kind in KINDS for _, kind in amounts):
            return credit_amounts(Amounts(**{kind: int(amount) for amount, kind in amounts}))
    if len(differences := NEXT_DIFFERENCE.split(text)) > 1:
        return ", ".join(map(localized_value, differences))
    for part in PARTS:
        values = part.values(text)
        if values is not None:
            return gettext(part.message, **{name: _word_or_figure(value) for name, value in values.items()})
    if text in WORDS:
        return gettext(WORDS[text])
    if length := LENGTH.fullmatch(text):
        return span(int(length[1]) * SECONDS[length[2]])
    named = IDENTIFIER.sub(lambda found: plain(found[0]) if found[0] in NAMES else found[0], text)
    day = iso_day(_figure(named))
    for conjunction in CONJUNCTIONS:
        day = day.replace(conjunction, gettext(conjunction))
    return day


def _word_or_figure(text: str) -> str:
    return gettext(WORDS[text]) if text in WORDS else _figure(text)


def _figure(text: str) -> str:
    return DECIMAL.sub(rf"\1{get_decimal_symbol(locale())}", figures_in(text))
