"""The page in Debian's Chromium: chat, teaching by keyboard, two tabs, a phone, a server killed."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
from support.running_server import running
from support.teaching_runs import TAUGHT, teachable_run

from vidya.posttraining.teaching.start import open_teaching
from vidya.text.conversation_format import long_conversation

pytestmark = pytest.mark.extras
CHROMIUM = shutil.which("chromium")
PHONE = {"width": 360, "height": 640}
WAIT = 30_000  # ms
SHORT = "localStorage['vidya.setting.max_tokens'] ??= 16"
"""Replies of so many tokens: the model of the tests seldom ends one by itself."""
VIEWS = ("Chat", "Teach", "Run")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = teachable_run(tmp_path_factory.mktemp("page") / "run")
    about = {"kind": "run", "options": {"preset": "nano", "steps": 300}}
    lines = [
        {"step": n, "tokens": 9 * n, "loss": 9 / (n + 1) + 2, "tokens_per_s": 90.0, "time_s": n}
        for n in range(1, 301)
    ]
    held_out = [{"step": n, "val_loss": 5 - n / 300, "val_bpb": 2.0} for n in (0, 100, 200, 300)]
    with open(folder / "metrics.jsonl", "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in [about, *lines, *held_out])
    (folder / "samples.txt").write_text("step 300\n  'hello' → 'fine'\n")
    return folder


@pytest.fixture(scope="module")
def shared(browser, original):
    """A server for tests that teach nothing."""
    with running(original) as (address, _):
        yield address


@pytest.fixture
def taught(browser, original, tmp_path):
    """A server, and the run folder, for a test that teaches."""
    run = shutil.copytree(original, tmp_path / "run")
    with running(run) as (address, _):
        yield address, run


@pytest.fixture
def open_page(browser):
    """Opens a page in a browser without a past; what goes wrong in its scripts fails the test."""
    contexts, failures = [], []

    def opened(address, view="chat", **more):
        contexts.append(browser.new_context(reduced_motion="reduce", **more))
        contexts[-1].add_init_script(SHORT)
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda said: "Security" in said.text and failures.append(said.text))
        page.goto(f"{address}/#{view}")
        return page

    yield opened
    for one in contexts:
        one.close()
    assert not failures


def box(page, name):
    return page.get_by_role("textbox", name=name, exact=True)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def say(page, text):
    box(page, "Message").fill(text)
    page.keyboard.press("Enter")
    button(page, "Write anew").wait_for()


def offer(page, text):
    box(page, "Question").fill(text)
    page.keyboard.press("Enter")
    page.locator(".pick:not([disabled])").first.wait_for()


def lessons(page, text):
    page.locator("#count", has_text=text).wait_for()


def messages(page):
    return page.locator(".message .text").all_inner_texts()


# ---- chat


def test_a_chat_streams_is_kept_and_is_changed(shared, open_page):
    page = open_page(shared)
    say(page, "hello there\n")
    first = messages(page)
    assert first[0] == "hello there" and len(first) == 2 and first[1]
    assert page.evaluate("document.activeElement.id") == "message"
    # a screen reader hears the reply once, from outside of what is being written
    assert page.locator("#announcer").inner_text() == f"Reply: {first[1]}"
    assert page.locator(".messages [aria-live], .messages[aria-live]").count() == 0
    say(page, "how are you")
    assert len(messages(page)) == 4

    box(page, "Message").fill("not sent yet")
    page.reload()
    assert len(messages(page)) == 4 and box(page, "Message").input_value() == "not sent yet"
    box(page, "Message").fill("")
    page.keyboard.press("ArrowUp")
    box(page, "Edit your message").fill("you are fine")
    page.reload()  # what is being edited is kept, too
    assert box(page, "Edit your message").input_value() == "you are fine"
    page.keyboard.press("Enter")
    page.locator("#notice", has_text="Sent anew").wait_for()
    assert messages(page)[2] == "you are fine"
    button(page, "Undo").click()
    page.get_by_text("how are you", exact=True).wait_for()

    button(page, "New conversation").click()
    assert messages(page) == []
    page.get_by_role("button", name="Delete hello there").click()
    assert page.locator("#talks li").count() == 0
    button(page, "Undo").click()
    page.locator(".message").first.wait_for()
    assert messages(page)[:2] == first


def test_a_reply_can_be_stopped_and_a_server_that_fails_is_told(shared, open_page):
    page = open_page(shared)
    page.get_by_text("How replies are drawn").click()
    page.get_by_label("Longest reply, in tokens").fill("4096")
    for _ in range(20):  # a reply of random weights may end before it can be stopped
        box(page, "Message").fill("hello")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Stop").or_(button(page, "Send")).first.wait_for()
        page.wait_for_timeout(30)
        page.keyboard.press("Escape")
        button(page, "Send").wait_for()
        if page.get_by_text("stopped", exact=True).count():
            break
    assert page.get_by_text("stopped", exact=True).count()
    assert button(page, "Send").is_visible()
    page.route("**/v1/chat/completions", lambda route: route.abort())
    box(page, "Message").fill("you")
    page.keyboard.press("Enter")
    page.locator("#chat-error", has_text="The server does not answer").wait_for()
    assert messages(page)[-1] == "you"
    page.unroute("**/v1/chat/completions")
    page.get_by_role("button", name="Try again").click()
    page.locator("#chat-error").wait_for(state="hidden")


def test_conversations_are_exported_as_a_corpus(shared, open_page):
    said = [
        "  two  words\n\n\n\tindented ↵ \u00a0x\r\nlast\u2028line\x85\x1c",
        "a <|user|> b <｜Bot ｜> \ufeffc",
        "<|bos|>\n", "x\t\ty \n",
    ]  # fmt: skip
    talk = {
        "id": "a", "stamp": "b", "changed": 1,
        "turns": [{"role": "user", "text": text} for text in [*said, "no reply to this"]],
    }  # fmt: skip
    page = open_page(shared)
    page.evaluate("talk => localStorage.setItem('vidya.talk.a', JSON.stringify(talk))", talk)
    page.reload()
    with page.expect_download() as caught:
        button(page, "Export as a corpus").click()
    exported = Path(caught.value.path()).read_bytes().decode("utf-8")
    assert exported == long_conversation(said) + "\n"


def test_two_tabs_write_over_nothing(shared, open_page):
    page = open_page(shared)
    say(page, "hello")
    with page.context.expect_page() as caught:
        page.evaluate("open('/', '_blank')")  # which takes the tab's conversation along
    other = caught.value
    other.set_default_timeout(WAIT)
    other.locator(".message").nth(1).wait_for()
    say(other, "how are you")
    page.locator(".message").nth(3).wait_for()
    assert messages(page) == messages(other)
    # two that write at the same time: the later one goes on as a copy
    page.evaluate("localStorage.setItem('vidya.setting.max_tokens', '100')")
    for one in (page, other):
        box(one, "Message").fill("you" if one is page else "fine")
        one.keyboard.press("Enter")
    for one in (page, other):
        button(one, "Write anew").wait_for()
    talks = page.evaluate(
        "Object.keys(localStorage).filter(key => key.startsWith('vidya.talk.'))"
        ".map(key => JSON.parse(localStorage[key]).turns.map(turn => turn.text))"
    )
    assert {"you", "fine"} <= {text for talk in talks for text in talk}


# ---- teaching


def test_teaching_by_keyboard_alone(taught, open_page):
    address, run = taught
    page = open_page(address, "teach")
    assert page.evaluate("document.activeElement.id") == "question"
    offer(page, "hello")
    candidates = page.locator(".candidates .said").all_inner_texts()
    page.keyboard.press("2")
    lessons(page, "1 lesson")
    assert page.evaluate("document.activeElement.id") == "question"
    page.get_by_text("Asked again: ").wait_for()
    assert page.locator(".learnt .answer").inner_text().startswith(candidates[1])
    assert page.get_by_text("loss before").count() <= 1

    offer(page, "how are you")
    page.keyboard.type("fine thank you")  # goes to the box for a better answer
    assert box(page, "A better answer").input_value() == "fine thank you"
    page.keyboard.press("Enter")
    lessons(page, "2 lessons")
    card = page.locator(".learnt").last
    card.get_by_text("loss after").wait_for()
    before, after = map(float, card.locator("b").all_inner_texts())
    assert after < before and card.get_by_text("Drift on other talk").is_visible()
    card.get_by_text("Asked again: ").wait_for()

    page.keyboard.press("Shift+Tab")  # to Undo, which stands right before the question
    assert page.evaluate("document.activeElement.textContent") == "Undo"
    page.keyboard.press("Enter")
    lessons(page, "1 lesson, 1 taken back")
    card.get_by_text("to the last bit").wait_for()

    offer(page, "how are you")
    page.keyboard.press("ArrowDown")
    second = page.locator(".candidates .said").nth(1).inner_text()
    page.keyboard.press("e")
    assert box(page, "A better answer").input_value() == second
    page.keyboard.press("End")
    page.keyboard.type(" you")
    page.keyboard.press("Enter")
    lessons(page, "2 lessons")
    offer(page, "you")
    page.keyboard.press("0")
    page.get_by_text("rejected").wait_for()
    entries = [json.loads(line) for line in (run / "teach.jsonl").read_text().splitlines()[1:]]
    right = [(one.get("pick"), one.get("answer"), one.get("undo")) for one in entries]
    assert right[:4] == [
        (2, None, None), (None, "fine thank you", None), (None, None, 1),
        (None, f"{second} you", None),
    ]  # fmt: skip
    with page.expect_download() as caught:
        button(page, "Download the journal").click()
    assert Path(caught.value.path()).read_bytes().startswith(b'{"journal": 3')


def test_what_is_typed_is_kept_and_one_teaches_at_a_time(taught, open_page):
    address, _ = taught
    page, other = open_page(address, "teach"), open_page(address, "teach")
    offer(page, "hello")
    page.keyboard.type("half an ans")
    box(page, "Question").fill("and then")
    box(other, "Question").fill("hello")
    other.keyboard.press("Enter")
    other.locator("#teach-error", has_text="somebody else is teaching").wait_for()
    assert box(other, "Question").input_value() == "hello"
    page.reload()  # which lets the other one teach
    assert box(page, "Question").input_value() == "and then"
    other.get_by_role("button", name="Try again").click()
    other.locator(".pick:not([disabled])").first.wait_for()
    other.close()
    offer(page, "hello")
    assert box(page, "A better answer").input_value() == "half an ans"


def test_a_server_that_is_killed_in_mid_lesson_loses_nothing(original, tmp_path, open_page):
    run = shutil.copytree(original, tmp_path / "run")
    with running(run) as (address, process):
        page = open_page(address, "teach")
        offer(page, "hello")
        page.keyboard.type("fine thank you")
        page.keyboard.press("Enter")
        journal = run / "teach.jsonl"
        ends = time.monotonic() + 30
        while b'"lesson"' not in journal.read_bytes() and time.monotonic() < ends:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    port = address.rsplit(":", 1)[1]
    with running(run, "--port", port) as (_, process):
        page.reload()
        lessons(page, "1 lesson")
        offer(page, "hello")  # before which it learns what was cut off
        process.terminate()
        assert process.wait(30) == 0
    whole = shutil.copytree(original, tmp_path / "whole")
    with open_teaching(whole, 1, print) as teaching:
        teaching.journal.path.write_bytes(journal.read_bytes())
    with open_teaching(whole, 1, print):
        pass
    assert (run / TAUGHT).read_bytes() == (whole / TAUGHT).read_bytes()


# ---- whoever uses it, and with what


@pytest.mark.parametrize("size", [PHONE, {"width": 1280, "height": 800}], ids=["phone", "wide"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_too_wide_and_axe_finds_nothing(shared, open_page, size, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = open_page(shared, viewport=size, color_scheme=scheme)
    say(page, "hello there how are you")
    for view in VIEWS:
        page.get_by_role("link", name=view).click()
        if view == "Teach":
            offer(page, "hello there " * 12)
            places = [one.bounding_box() for one in page.locator(".candidates li").all()]
            across, down = ({round(place[side]) for place in places} for side in ("x", "y"))
            assert len(places) > 1 and len(down if size is PHONE else across) == len(places)
            assert len(across if size is PHONE else down) == 1, "side by side where there is room"
        if view == "Run":
            page.locator("svg.chart path").first.wait_for()
        if size is PHONE and view != "Run":
            page.locator("section:not([hidden])").get_by_role("button", name="Show").click()
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"], view
        found = axe.run(page)
        assert not found.response["violations"], (view, found.generate_report())


def test_the_run_is_drawn(shared, open_page):
    page = open_page(shared, "run")
    chart = page.get_by_role("img", name="Loss, nats a token")
    assert "unseen text from 5 at step 0 to 4 at step 300" in chart.get_attribute("aria-label")
    assert page.get_by_text("'hello' → 'fine'").is_visible()
    page.get_by_text("Every evaluation, as a table").click()
    assert page.locator("tbody tr").count() == 4


def test_a_key_is_asked_for_once(original, open_page):
    with running(original, "--api-key", "secret") as (address, _):
        page = open_page(address)
        box(page, "Key").fill("wrong")
        page.keyboard.press("Enter")
        box(page, "Key").fill("secret")
        page.keyboard.press("Enter")
        page.locator("#model", has_text="run").wait_for()
        page.reload()
        say(page, "hello")
        assert not page.locator("dialog").is_visible()
