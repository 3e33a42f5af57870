"""How much the engine adds to a model's first word: from Enter in a browser until the word is there.

python -m benchmarks.first_token [TIMES]

`runllm dev` with all its processes, a Chromium with the widget, and a stand-in for the model's service that thinks for
a while before it says its first word. The stand-in notes when a request came and when its first word left, the page
notes when Enter was pressed and when the first text stood in the answer: what is left is what the engine took.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.figures import median, percentile, table
from tests.fakes.anthropic import KEY, Anthropic, Trouble, serving_beside
from tests.faults.engine import Engine, running

THINKS = 0.3
"""Seconds until the stand-in says its first word."""

BETWEEN = 600
"""Milliseconds until the next question: nobody writes one while the answer before is still being put on record."""

HANDLER = """
from runllm import Agent, Event, WidgetListener, entrypoint


@entrypoint(listeners=[WidgetListener(domain="127.0.0.1"), WidgetListener(domain="localhost")])
def streams(agent: Agent, event: Event) -> None:
    agent.stream_answer(event.conversation)
"""

WATCH = """
() => {
  const chat = document.querySelector("runllm-chat");
  window.times = { pressed: 0, shown: 0 };
  let tell = () => {};
  // A draft, or a whole answer: on a busy machine both may come between two looks at the page.
  const bodies = () => [...chat.shadowRoot.querySelectorAll(".message.agent .body")];
  const answers = () => bodies().filter((one) => one.textContent.trim());
  chat.shadowRoot.addEventListener("keydown", (event) => {
    if (event.key === "Enter") window.times = { pressed: Date.now(), shown: 0, before: answers().length };
  }, true);
  new MutationObserver(() => {
    if (window.times.shown || !window.times.pressed) return;
    if (answers().length <= window.times.before) return;
    window.times.shown = Date.now();
    tell(window.times);
  }).observe(chat.shadowRoot, { subtree: true, childList: true, characterData: true, attributes: true });
  window.ask = (text) => new Promise((resolve) => {
    tell = resolve;
    const box = chat.shadowRoot.querySelector("textarea");
    const typed = { bubbles: true, composed: true };
    box.value = text;
    box.dispatchEvent(new InputEvent("input", typed));
    const enter = new KeyboardEvent("keydown", { ...typed, key: "Enter", cancelable: true });
    setTimeout(() => box.dispatchEvent(enter), 300);
  });
}
"""
"""Questions are asked from within the page: whoever drives a browser from outside takes the machine's time for it."""


class Thoughtful(Anthropic):
    """Notes when a request came, and when its first word left."""

    def __init__(self) -> None:
        super().__init__(piece=24, pause=0.02)
        self.times: list[tuple[float, float]] = []

    async def _stream(self, request: Any, body: dict[str, Any], message: dict[str, Any], trouble: Trouble) -> Any:
        came = time.time()
        thinking = Trouble(pause=THINKS)
        asyncio.get_running_loop().call_later(THINKS + self.pause, lambda: self.times.append((came, time.time())))
        return await super()._stream(request, body, message, thinking)


def one(page: Page, service: Thoughtful, number: int) -> tuple[float, float, float]:
    """Milliseconds until the service had the request, from its first word until it was shown, and both together."""
    page.wait_for_timeout(BETWEEN)
    times = page.evaluate("(text) => window.ask(text)", f"How do I install it? ({number})")
    page.wait_for_function("() => !document.querySelector('runllm-chat').shadowRoot.querySelector('.caret')")
    came, left = service.times[-1]
    before, after = (came - times["pressed"] / 1000) * 1000, (times["shown"] / 1000 - left) * 1000
    return before, after, before + after


def opened(browser: Browser, url: str) -> Page:
    """A page with the widget, as a visitor without a conversation sees it."""
    page = browser.new_context().new_page()
    page.goto(f"{url}/demo")
    page.get_by_role("textbox", name="Ask a question…").wait_for()
    page.evaluate(WATCH)
    return page


def later(browser: Browser, url: str, service: Thoughtful, times: int) -> list[tuple[float, float, float]]:
    """Of messages in a conversation that has begun."""
    page = opened(browser, url)
    return [one(page, service, number) for number in range(times + 2)][2:]


def first(browser: Browser, url: str, service: Thoughtful, times: int) -> list[tuple[float, float, float]]:
    """Of messages that begin a conversation, and its session."""
    taken = []
    for number in range(times):
        page = opened(browser, url)
        taken.append(one(page, service, number))
        page.context.close()
    return taken


def runllm(engine: Engine, *arguments: str) -> None:
    environment = {**engine.environment, "RUNLLM_API_KEY": engine.api_key, "RUNLLM_SERVER": engine.url}
    command = [str(Path(sys.executable).parent / "runllm"), *arguments]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def measure(times: int) -> str:
    """The table."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("There is no chromium on this machine")
    with tempfile.TemporaryDirectory() as directory, serving_beside(Thoughtful()) as service:
        model = {"RUNLLM_MODEL": "anthropic", "RUNLLM_MODEL_KEY": KEY, "RUNLLM_MODEL_URL": service.url}
        with running(Path(directory) / "home", "--no-example", **model) as engine, sync_playwright() as playwright:
            engine.wait_until_ready()
            script = Path(directory) / "streams.py"
            script.write_text(HANDLER)
            runllm(engine, "docs", "add", str(Path(__file__).parents[1] / "examples" / "docs"))
            runllm(engine, "publish", str(script), "--name", "streams")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            taken = [measure(browser, engine.url, service, times) for measure in (later, first)]
            browser.close()
    rows = []
    for place, name in enumerate(
        ("until the service has the request", "from its first word until that is shown", "both")
    ):
        values = [[one[place] for one in some] for some in taken]
        rows.append([name, *(f"{figure:.0f}" for one in values for figure in (median(one), percentile(one, 0.95)))])
    return table(["added, in ms", f"a later message, median of {times}", "95 %", "the first message", "95 %"], rows)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
