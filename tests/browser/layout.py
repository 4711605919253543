"""What a designer would send back and axe passes: broken words, texts that are cut, boxes that touch."""

from playwright.sync_api import Page

BROKEN_WORDS = """() => {
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT), broken = [];
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        if (!text.parentElement.checkVisibility() || text.parentElement.closest("pre, textarea, .unseen")) continue;
        for (const word of text.data.matchAll(/(?<![^\\s(])\\p{L}{2,}(?![^\\s).,:;?…])/gu)) {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            const lines = new Set([...range.getClientRects()].map((each) => Math.round(each.top)));
            if (lines.size > 1) broken.push(word[0]);
        }
    }
    return broken;
}"""
"""Words that go on in the next line; an identifier may, a word of a sentence may not."""
CUT_TEXTS = """() => [...document.querySelectorAll("main :is(.button, .badge, th, td)")]
    .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1)
    .map((each) => each.textContent.trim())"""
"""Texts that are wider than their place."""
TOUCHING_BOXES = """() => {
    const boxes = "main > :is(.card, .cards, .empty, .state), .cards > .card, .split-side > .card, .split-main > .card";
    const seen = [...document.querySelectorAll(boxes)].filter((each) => each.checkVisibility() && each.offsetHeight);
    return seen.flatMap((each) => {
        let next = each.nextElementSibling;
        while (next && !next.offsetHeight) next = next.nextElementSibling;
        const top = next?.matches(":is(.card, .cards, .empty, .state)") ? next.getBoundingClientRect().top : Infinity;
        const bottom = each.getBoundingClientRect().bottom;
        return top >= bottom - 1 && top < bottom + 7 ? [each.id || each.className] : [];
    });
}"""
"""Boxes whose next one begins where they end."""


FOUND = (
    "() => ({"
    + ", ".join(
        f"{name}: ({script})()"
        for name, script in {"broken": BROKEN_WORDS, "cut": CUT_TEXTS, "touching": TOUCHING_BOXES}.items()
    )
    + "})"
)
"""All of them in one question to the browser."""


def assert_tidy(page: Page) -> None:
    """Fail with what is broken, cut or touching in the page as it stands."""
    found = page.evaluate(FOUND)
    assert not any(found.values()), (page.url, page.viewport_size, found)
