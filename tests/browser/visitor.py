"""A person at a browser, who does by clicks and keys what people do."""

from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from dashboards.language import SOURCE
from tests.browser.translated_texts import Text, translate


@dataclass
class Visitor:
    """A person at a browser who counts clicks; what is typed or chosen in a field is no click.

    What is looked for is named in English, whatever the language of the pages.
    """

    page: Page
    language: str = SOURCE
    clicks: int = 0

    def translate(self, text: Text) -> Text:
        """Return what the pages say in place of an English text."""
        return translate(text, self.language)

    def click(self, wanted: Locator) -> None:
        """Click once, on something that can be seen."""
        wanted.click()
        self.clicks += 1

    def link(self, name: Text) -> None:
        """Click the first link of this name."""
        self.click(self.page.get_by_role("link", name=self.translate(name)).first)

    def button(self, name: Text) -> None:
        """Click the first button of this name that is shown."""
        self.click(self.page.get_by_role("button", name=self.translate(name)).locator("visible=true").first)

    def open(self, summary: Text) -> None:
        """Open a part of the page that is folded."""
        self.click(self.page.locator("summary", has_text=self.translate(summary)).first)

    def fill(self, label: Text, text: str) -> None:
        """Write into the field of this label that is shown."""
        name = self.translate(label)
        self.page.get_by_label(name, exact=isinstance(name, str)).locator("visible=true").first.fill(text)

    def expect(self, text: Text) -> None:
        """Wait until the page says this."""
        expect(self.page.locator("main")).to_contain_text(self.translate(text))
