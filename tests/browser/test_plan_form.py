"""Writing a plan: the form and the YAML follow each other while somebody types, and nothing is saved by it."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """Somebody about to plan a ramp."""
    page = open_page()
    sign_in(page, "alice")
    page.goto("/new-rollout?template=percentage-ramp")
    page.get_by_label("Flag", exact=True).fill("TYPED_HERE")
    return page


def test_the_yaml_follows_the_form_and_the_form_the_yaml(page: Page) -> None:
    page.get_by_label("Soak time of each step").first.fill("3 days")
    yaml = page.get_by_label("As YAML")
    expect(yaml).to_have_value(re.compile("soak: P3D"))
    expect(page.get_by_text("It can be taken as it is.")).to_be_visible()
    yaml.fill(yaml.input_value().replace("title: Everyone", "title: Every customer"))
    expect(page.get_by_label("Title").nth(1)).to_have_value("Every customer")
    expect(page.get_by_label("Soak time of each step").first).to_have_value("3 d")
    assert_accessible(page)


def test_a_change_in_the_form_is_kept_by_whoever_goes_straight_on_to_the_yaml(page: Page) -> None:
    page.get_by_label("Soak time of each step").first.fill("3 days")
    yaml = page.get_by_label("As YAML")
    yaml.focus()
    expect(yaml).to_have_value(re.compile("soak: P3D"))
    expect(yaml).to_be_focused()


def test_a_mistake_is_named_while_it_is_made_and_gone_when_it_is_mended(page: Page) -> None:
    steps = page.get_by_label("Steps in %").nth(1)
    steps.fill("10, 5")
    expect(page.get_by_text("The plan can't be used yet")).to_be_visible()
    steps.fill("5, 10")
    expect(page.get_by_text("The plan can't be used yet")).to_be_hidden()


def test_fields_of_an_audience_are_there_for_that_audience_alone(page: Page) -> None:
    who = page.get_by_label("Who").nth(1)
    conditions = page.get_by_label("Conditions").nth(1)
    expect(conditions).to_be_hidden()
    who.select_option("Customers by their attributes")
    conditions.fill("region IN eu, us")
    expect(page.get_by_text("Customers whose region is eu or us").first).to_be_visible()


def test_a_rollout_is_made_with_the_form_alone(page: Page) -> None:
    page.get_by_role("button", name=re.compile("Remove.*Development and staging")).click()
    page.get_by_label("Steps in %").fill("20, 100")
    page.get_by_label("Reason").fill("Tried by hand.")
    page.get_by_role("button", name="Create the rollout").click()
    expect(page.get_by_text("TYPED_HERE has this plan now.")).to_be_visible()
    expect(page.get_by_text("20 %").first).to_be_visible()


def test_a_template_fits_the_environment_that_was_written_before_it_is_chosen(page: Page) -> None:
    page.get_by_label("Flag", exact=True).fill("TYPED_HERE@staging")
    guide = page.get_by_role("link", name="Guide", exact=True)
    expect(guide).to_have_attribute("href", re.compile("flag=TYPED_HERE"))
    guide.click()
    expect(page.get_by_label("Flag", exact=True)).to_have_value("TYPED_HERE@staging")
    yaml = page.get_by_label("As YAML")
    expect(yaml).to_have_value(re.compile("environment: staging"))
    expect(yaml).not_to_have_value(re.compile("audience: environments"))
