"""What a browser says of itself, as people know it. Pure."""

BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
"""In this order: each of the first says the names of those behind it as well."""
SYSTEMS = ("Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux")
LONGEST = 60


def browser_name(user_agent: str) -> str:
    """Return browser and system, `Firefox, Linux`; of what is neither, the beginning of what it says."""
    browser = next((name for token, name in BROWSERS if token in user_agent), "")
    system = next((name for name in SYSTEMS if name in user_agent), "")
    return ", ".join(filter(None, (browser, system))) or user_agent[:LONGEST]
