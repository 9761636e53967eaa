"""The chat of an executed notebook in a real browser: what a pupil sees and can press."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LONG = "Explain step by step how to solve 3x + 7 = 25 and why each step is right."
WORDS = re.compile(r"\w")
WAIT = 60_000  # milliseconds; a CPU writes slowly


@pytest.fixture
def open_page(executed_notebook):
    """A function that opens the chat in a new tab; no tab may ask anything of another machine."""
    outside = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)

        def open_page():
            page = browser.new_page(viewport={"width": 1100, "height": 800})
            page.on("request", lambda sent: None if "://127.0.0.1:" in sent.url else outside.append(sent.url))
            page.goto(executed_notebook.url)
            page.questions, page.answers = page.locator(".user.message"), page.locator(".bot.message:not(.pending)")
            page.stop, page.send = page.get_by_test_id("stop-button"), page.get_by_test_id("submit-button")
            page.button = lambda name: page.get_by_role("button", name=name).last
            return page

        yield open_page
        browser.close()
    assert [url for url in outside if url.startswith("http")] == []


def ask(page, question):
    """Type a question and send it; return its answer's place on the page once words appear there."""
    answer = page.answers.nth(page.answers.count())
    page.get_by_test_id("textbox").fill(question)
    page.keyboard.press("Enter")
    expect(answer).to_have_text(WORDS, timeout=WAIT)
    return answer


def finish(page):
    """Wait until the answer is complete."""
    expect(page.button("Retry")).to_be_enabled(timeout=3 * WAIT)


def test_an_answer_grows_and_formulas_are_drawn(open_page):
    page = open_page()
    answer = ask(page, LONG + r" Is \(x^2 < 9\) or $\frac{1}{2}$? I have $5 and $7, <b>2*3*4</b>.")
    expect(answer).not_to_have_text(answer.inner_text(), timeout=WAIT)
    expect(page.questions.locator(".katex-html")).to_have_count(2)
    expect(page.questions).to_contain_text("I have $5 and $7, < b>2 * 3 * 4 < /b>.")
    expect(page.questions.locator(".katex-error, b")).to_have_count(0)


def test_stop_ends_the_answer_and_retry_writes_it_again(open_page):
    page = open_page()
    answer = ask(page, LONG)
    page.stop.click()
    expect(page.send).to_be_visible(timeout=5_000)
    stopped = answer.inner_text()
    page.wait_for_timeout(1_500)
    assert answer.inner_text() == stopped
    page.button("Retry").click()
    expect(page.stop).to_be_visible(timeout=WAIT)
    finish(page)
    assert len(answer.inner_text()) > len(stopped)


def test_a_conversation_goes_on_and_undo_edit_and_clear_change_it(open_page):
    page = open_page()
    ask(page, "What is 2 + 3?")
    finish(page)
    ask(page, "And with 7 instead of 3?")
    finish(page)
    expect(page.questions).to_have_count(2)
    expect(page.answers).to_have_count(2)
    page.button("Undo").click()
    expect(page.questions).to_have_count(1)
    expect(page.get_by_test_id("textbox")).to_have_value("And with 7 instead of 3?")
    page.button("Edit").click()
    page.questions.locator("textarea").fill("What is 5 + 6?")
    page.button("Submit").click()
    expect(page.questions).to_have_text("What is 5 + 6?")
    expect(page.answers).to_have_text(WORDS, timeout=WAIT)
    finish(page)
    page.button("Clear").click()
    expect(page.questions).to_have_count(0)


def test_a_closed_tab_frees_the_model_for_the_next_pupil(open_page):
    closed = open_page()
    ask(closed, LONG)
    closed.close()
    ask(open_page(), "What is 2 + 3?")


def test_examples_can_be_clicked_and_a_phone_need_not_scroll_sideways(open_page):
    page = open_page()
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("button.example")).to_have_count(5)
    page.get_by_text("Find the derivative of").click()
    expect(page.answers).to_have_text(WORDS, timeout=WAIT)
    expect(page.questions.locator(".katex-html")).to_have_count(1)
    finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
