"""A person at a browser, who does by clicks and keys what people do."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect


@dataclass
class Visitor:
    """A person at a browser who counts clicks; what is typed or chosen in a field is no click."""

    page: Page
    clicks: int = 0

    def click(self, wanted: Locator) -> None:
        """Click once, on something that can be seen."""
        wanted.click()
        self.clicks += 1

    def link(self, name: str | re.Pattern[str]) -> None:
        """Click the first link of this name."""
        self.click(self.page.get_by_role("link", name=name).first)

    def button(self, name: str | re.Pattern[str]) -> None:
        """Click the first button of this name that is shown."""
        self.click(self.page.get_by_role("button", name=name).locator("visible=true").first)

    def open(self, summary: str | re.Pattern[str]) -> None:
        """Open a part of the page that is folded."""
        self.click(self.page.locator("summary", has_text=summary).first)

    def fill(self, label: str | re.Pattern[str], text: str) -> None:
        """Write into the field of this label that is shown."""
        self.page.get_by_label(label, exact=isinstance(label, str)).locator("visible=true").first.fill(text)

    def expect(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page says this."""
        expect(self.page.locator("main")).to_contain_text(text)
