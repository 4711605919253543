"""What is wrong with plans, kinds and prices of credits as somebody wrote them, as templates. Pure."""

from dashboards.language import N_

SENTENCES = (
    # where it is: `mistake` is one of those below
    N_("Line %(line)s, at %(place)s: %(mistake)s"),
    N_("Line %(line)s: %(mistake)s"),
    N_("Plan %(plan)s: %(mistake)s"),
    N_("Kind %(kind)s: %(mistake)s"),
    N_("Price %(price)s: %(mistake)s"),
    N_("And %(count)s more."),
    # of a document
    N_("The document: names and their values are needed."),
    N_("names and their values are needed."),
    N_("Field required."),
    N_("Extra inputs are not permitted."),
    N_("Input should be a valid integer, unable to parse string as an integer."),
    N_("Input should be a valid integer, got a number with a fractional part."),
    N_("Input should be a valid integer."),
    N_("Input should be a valid string."),
    N_("Input should be a valid boolean, unable to interpret input."),
    N_("Input should be a valid boolean."),
    N_("Input should be a valid list."),
    N_("Input should be a valid dictionary."),
    N_("a date or an instant is needed, such as 2026-07-01T00:00:00Z."),
    N_("Input should be greater than or equal to %(least)s."),
    N_("Input should be less than or equal to %(most)s."),
    N_("String should have at least 1 character."),
    N_("String should have at most %(most)s characters."),
    N_("List should have at most %(most)s items after validation, not %(count)s."),
    N_("a start lies in the years %(first)s to %(last)s."),
    N_("say the most that rolls over, either as max or as max_percent."),
    # of a plan
    N_("it stands there twice with one start."),
    N_("it needs limits for each kind and no other; see %(kinds)s."),
    N_("a limit of %(kind)s is a whole number from 0 to %(most)s, or null for none."),
    N_("the days of grace are 0 to %(most)s."),
    N_("its name is blank or has blanks around it."),
    N_("there is no plan %(plan)s above which it could stand."),
    N_("only a plan that is new can be one of seats; what its users have would change."),
    N_("this is another name of a plan; change that one."),
    N_("it is new; say above which plan it stands."),
    N_("its name holds no colon, which is for a number of seats."),
    N_("it has begun already; what was granted stays, so begin another version from now on."),
    N_("another version begins at the same moment already."),
    N_("nothing can roll over of %(kind)s, which is no kind of credits."),
    N_("say of %(kind)s the most that rolls over either as max or as max_percent."),
    N_("the most of %(kind)s that rolls over is a whole number from 0."),
    N_("the most of %(kind)s that rolls over is 0 to %(most)s percent."),
    N_("what rolls over of %(kind)s lasts for 1 to %(most)s periods."),
    # of a kind
    N_("write small letters and digits."),
    N_("Kind %(kind)s is in the catalogue already."),
    N_("%(engine)s needs a limit for each plan and no other; see %(plans)s."),
    N_("a limit is a whole number from 0 to %(most)s, or null for none."),
    N_("a pack holds at least one credit and at most %(most)s, each size once."),
    N_("it can't begin in the past."),
    # of a price
    N_("Price %(price)s stands there twice."),
    N_("it is blank or has blanks around it."),
    N_("it is built in already."),
    N_("it buys something else already, and goes on doing so; make a new price at Stripe."),
    N_("there is no plan %(plan)s."),
    N_("there is no kind %(kind)s of credits."),
    N_("a pack holds at least one credit, and at most %(most)s."),
    N_("a pack is valid for 1 to %(most)s days."),
    N_("write a plan or a pack, and not both."),
)

READING = (
    # why a text is no YAML, and no JSON
    N_("%(fault)s at line %(line)s, column %(column)s"),
    N_("could not find expected %(expected)s"),
    N_("expected %(expected)s, but got %(found)s"),
    N_("expected %(expected)s, but found %(found)s"),
    N_("found character %(found)s that cannot start any token"),
    N_("found unknown escape character %(found)s"),
    N_("the number %(digits)s is too large"),
    N_("the number %(digits)s has %(count)s digits"),
    N_("%(found)s isn't a JSON number"),
    N_("byte %(number)s isn't UTF-8"),
)
"""Parts of sentences that say why a text can't be read."""
WORDS = {
    each: each
    for each in (
        N_("mapping values are not allowed here"),
        N_("block sequence entries are not allowed here"),
        N_("found unexpected end of stream"),
        N_("found another document"),
        N_("the node content"),
        N_("',' or '}'"),
        N_("',' or ']'"),
        N_("chomping or indentation indicators"),
        N_("nested too deeply"),
        N_("it is nested too deeply"),
        N_("Expecting value"),
        N_("Expecting property name enclosed in double quotes"),
        N_("Expecting ',' delimiter"),
        N_("Expecting ':' delimiter"),
        N_("Extra data"),
        N_("Invalid control character at"),
        N_("Invalid \\escape"),
        N_("Invalid \\uXXXX escape"),
        N_("Unterminated string starting at"),
        N_("a text holds a NUL or half of a surrogate pair, which can't be stored"),
    )
}
"""The same, where it holds no value."""
