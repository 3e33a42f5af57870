/* <runllm-chat>: a launcher and a panel, or only the panel with mode="inline". */

import { Conversation } from "./conversation.js";
import { element } from "./markdown.js";
import { messageNode } from "./message.js";
import { randomId, recall, remember } from "./memory.js";
import { icon, sheet } from "./style.js";

const AT_BOTTOM = 48; // pixels
const UNHURRIED = 100; // milliseconds

export class RunllmChat extends HTMLElement {
  #parts = {};
  #nodes = new Map();
  #conversation = null;
  #isDue = false;
  #isLeading = false; // the visitor has just said something: it is to be seen
  #unread = 0;
  #actions = null;

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet()];
  }

  connectedCallback() {
    if (this.#conversation) return;
    this.#build();
    this.#conversation = new Conversation({
      base: this.getAttribute("base") ?? "/widget/v1",
      opening: this.#opening(),
      page: () => ({ url: location.href.slice(0, 2000), page_title: document.title }),
    });
    this.#actions = {
      retry: (id) => this.#conversation.retry(id),
      click: (entry, button) => this.#tried(this.#conversation.click(entry, button)),
      rate: (entry, helpful, comment) => this.#tried(this.#conversation.rate(entry, helpful, comment)).then(() => true, () => false),
      picture: (entry, number) => this.#conversation.file(entry, number),
      file: (entry, number) => this.#tried(this.#conversation.file(entry, number)),
      refresh: () => this.#render(),
      asking: null,
    };
    this.#conversation.addEventListener("change", (event) => this.#note(event.detail));
    this.#conversation.restore();
    this.#render();
    if (this.hasAttribute("open") && matchMedia("(min-width: 481px)").matches) this.open(false);
  }

  get isOpen() {
    return this.hasAttribute("opened");
  }

  open(takesFocus = true) {
    const { panel, launcher, input } = this.#parts;
    this.setAttribute("opened", "");
    panel.hidden = false;
    launcher.setAttribute("aria-expanded", "true");
    this.#unread = 0;
    this.#render();
    this.#toLatest();
    if (takesFocus) input.focus();
    window.dispatchEvent(new CustomEvent("runllm-open"));
  }

  close() {
    if (this.#isInline) return;
    this.removeAttribute("opened");
    this.#parts.panel.hidden = true;
    this.#parts.launcher.setAttribute("aria-expanded", "false");
    this.#parts.launcher.focus();
    window.dispatchEvent(new CustomEvent("runllm-close"));
  }

  toggle() {
    return this.isOpen ? this.close() : this.open();
  }

  /** Says something on the visitor's behalf. */
  async send(text) {
    if (!text.trim()) return;
    this.#isLeading = true;
    const sent = this.#conversation.send(text.trim()); // which shows it with the next frame: it is on its way by then
    window.dispatchEvent(new CustomEvent("runllm-send-message", { detail: { text } }));
    await sent;
  }

  get #isInline() {
    return this.getAttribute("mode") === "inline";
  }

  /** What a conversation is opened with. The visitor's id is this browser's own word. */
  #opening() {
    const agent = this.getAttribute("agent");
    if (agent) return { agent: Number(agent) };
    const visitor = recall("runllm visitor") ?? randomId();
    remember("runllm visitor", visitor);
    return { chat_user_id: visitor };
  }

  #text(name, otherwise) {
    return this.getAttribute(name) ?? otherwise;
  }

  #build() {
    const color = this.getAttribute("color");
    if (color) this.style.setProperty("--runllm-accent", color);
    const name = this.#text("name", "Support");
    const button = (className, label, picture, action) => {
      const made = element("button", { type: "button", className, title: label, "aria-label": label }, icon(picture));
      made.addEventListener("click", action);
      return made;
    };
    const p = this.#parts;
    p.badge = element("span", { className: "badge", hidden: true });
    p.launcher = button("launcher", `Chat with ${name}`, "chat", () => this.toggle());
    p.launcher.setAttribute("aria-expanded", "false");
    p.launcher.append(p.badge);
    p.line = element("div", { className: "line" });
    p.fresh = button("fresh", "New conversation", "fresh", () => this.#startAfresh());
    const who = element("div", { className: "who" }, element("h2", { textContent: name }), p.line);
    const head = element("header", {}, who, p.fresh, button("close", "Close", "close", () => this.close()));
    p.log = element("ol", { className: "log", role: "log", "aria-live": "off", "aria-label": "Conversation" });
    p.empty = this.#emptyState(name);
    p.latest = element("button", { type: "button", className: "latest", hidden: true }, icon("down"), "Latest");
    p.latest.addEventListener("click", () => this.#toLatest());
    p.scroll = element("div", { className: "scroll", tabIndex: -1 }, p.empty, p.log, p.latest);
    p.scroll.addEventListener("scroll", () => this.#noteScroll(), { passive: true });
    p.notice = element("div", { className: "notice", hidden: true });
    p.status = element("div", { className: "unseen", role: "status" });
    const fine = element("div", { className: "fine", textContent: this.#text("disclaimer", "") });
    fine.hidden = !fine.textContent;
    p.panel = element("section", { className: "panel", role: this.#isInline ? "region" : "dialog", "aria-label": name });
    p.panel.append(head, p.scroll, p.notice, this.#composer(), fine, p.status);
    p.panel.hidden = !this.#isInline;
    p.panel.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && this.close());
    this.shadowRoot.append(p.launcher, p.panel);
    p.thinking = element("li", { className: "message thinking", "aria-hidden": "true" });
    p.thinkingText = element("span");
    p.thinking.append(element("span", { className: "dots" }, element("i"), element("i"), element("i")), p.thinkingText);
  }

  #emptyState(name) {
    const questions = this.#text("questions", "").split("|").filter((question) => question.trim());
    const list = questions.map((question) => {
      const made = element("button", { type: "button", textContent: question.trim() });
      made.addEventListener("click", () => {
        this.send(question);
        this.#parts.input.focus();
      });
      return made;
    });
    const greeting = this.#text("greeting", `Hello! This is ${name}. What would you like to know?`);
    return element("div", { className: "empty" }, element("p", { textContent: greeting }), element("div", { className: "questions" }, ...list));
  }

  #composer() {
    const p = this.#parts;
    const placeholder = this.#text("placeholder", "Ask a question…");
    p.input = element("textarea", { rows: 1, placeholder, "aria-label": placeholder });
    p.send = element("button", { type: "submit", disabled: true, "aria-label": "Send", title: "Send" }, icon("send"));
    const form = element("form", {}, p.input, p.send);
    const grow = () => {
      p.send.disabled = !p.input.value.trim();
      p.input.style.height = "auto";
      p.input.style.height = `${Math.min(p.input.scrollHeight, 160)}px`;
    };
    p.input.addEventListener("input", () => {
      grow();
      this.#conversation.prepare();
    });
    p.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = p.input.value;
      this.send(text);
      p.input.value = "";
      grow();
    });
    return form;
  }

  #startAfresh() {
    this.#conversation.reset();
    this.#parts.log.replaceChildren();
    this.#nodes.clear();
    this.#render();
    this.#parts.input.focus();
  }

  async #tried(doing) {
    try {
      return await doing;
    } catch (error) {
      this.#conversation.notice = error.sentence ?? "The server cannot be reached. Try again.";
      this.#schedule();
      throw error;
    }
  }

  /** Something has changed. `arrived` is a durable event that is new to us; what is not urgent has time. */
  #note({ arrived, isUrgent }) {
    if (arrived && arrived.author === "assistant" && !arrived.deleted && this.#conversation.isRestored) {
      if (!this.isOpen && !this.#isInline && !this.#nodes.has(arrived.id)) this.#unread += 1;
      this.#parts.status.textContent = "A new answer has arrived.";
    } else if (this.#conversation.isAwaiting) {
      this.#parts.status.textContent = this.#conversation.stage || "The answer is on its way.";
    }
    if (this.#hasBegun()) this.#render(); // the first words are not kept waiting for a frame
    else if (isUrgent) this.#schedule();
    else setTimeout(() => this.#schedule(), UNHURRIED); // its frame would be drawn while the answer is asked for
  }

  /** Whether there is an answer in the making of which nothing is shown yet. */
  #hasBegun() {
    return [...this.#conversation.drafts.keys()].some((id) => !this.#nodes.has(id));
  }

  #schedule() {
    if (this.#isDue) return;
    this.#isDue = true;
    const render = () => {
      this.#isDue = false;
      this.#render();
    };
    if (document.visibilityState === "visible") requestAnimationFrame(render);
    else setTimeout(render, 100); // hidden pages have no frames
  }

  #render() {
    const conversation = this.#conversation;
    const { log, empty, line, fresh, notice, thinking, thinkingText, badge } = this.#parts;
    const isFollowing = this.#isLeading || this.#isAtBottom();
    this.#isLeading = false;
    const entries = [...conversation.entries.values()].sort(inOrder);
    const wanted = entries.map((entry) => this.#nodeOf(entry));
    for (const draft of conversation.drafts.values()) wanted.push(this.#nodeOf({ ...draft, author: "assistant" }, true));
    const stage = conversation.stage;
    thinkingText.textContent = stage;
    if (stage ? conversation.drafts.size === 0 : conversation.isAwaiting) wanted.push(thinking);
    wanted.forEach((node, index) => {
      if (log.children[index] !== node) log.insertBefore(node, log.children[index] ?? null);
    });
    while (log.children.length > wanted.length) log.lastChild.remove();
    for (const id of this.#nodes.keys()) {
      if (!conversation.entries.has(id) && !conversation.drafts.has(id)) this.#nodes.delete(id);
    }
    empty.hidden = entries.length > 0 || !conversation.isRestored;
    fresh.hidden = entries.length === 0;
    line.textContent = conversation.isOnline ? "Online" : "Connecting…";
    line.classList.toggle("off", !conversation.isOnline);
    notice.textContent = conversation.notice;
    notice.hidden = !conversation.notice;
    badge.textContent = String(this.#unread);
    badge.hidden = this.#unread === 0;
    if (isFollowing) this.#toLatest();
    else this.#noteScroll();
  }

  #nodeOf(entry, isDraft = false) {
    let node = this.#nodes.get(entry.id);
    if (!node) this.#nodes.set(entry.id, (node = messageNode(this.#actions)));
    node.show(entry, isDraft);
    return node;
  }

  #isAtBottom() {
    const { scroll } = this.#parts;
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < AT_BOTTOM;
  }

  #noteScroll() {
    this.#parts.latest.hidden = this.#isAtBottom();
  }

  #toLatest() {
    const { scroll, latest } = this.#parts;
    latest.hidden = true;
    scroll.scrollTop = scroll.scrollHeight;
  }
}

/** The order of the record; what has not arrived there yet comes last. */
function inOrder(a, b) {
  const first = a.position ?? Infinity;
  const second = b.position ?? Infinity;
  return first === second ? (a.at < b.at ? -1 : 1) : first - second;
}

if (!customElements.get("runllm-chat")) customElements.define("runllm-chat", RunllmChat);
