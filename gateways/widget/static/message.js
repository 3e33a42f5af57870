/* One message on the screen. Its node lives as long as the message; what has changed in it is shown anew. */

import { attachment } from "./files.js";
import { element, link, safeAddress, showMarkdown } from "./markdown.js";
import { icon } from "./style.js";

const ENDED = { expired: "Time is up.", cancelled: "This is no longer asked." };

/** A node for a message; `show(entry)` brings it up to date. `actions`: retry, click, rate, file, picture. */
export function messageNode(actions) {
  const by = element("div", { className: "by", hidden: true });
  const prefix = element("div", { className: "prefix", hidden: true });
  const body = element("div", { className: "body" });
  const extras = element("div");
  const node = element("li", { className: "message", tabIndex: -1 }, by, prefix, body, extras);
  let shown = null;
  let comes = null; // whether it draws the eye: not what one wrote oneself, nor words that are read as they come

  node.show = (entry, isDraft = false) => {
    if (shown === entry && !isDraft) return;
    shown = entry;
    const side = entry.author !== "user" ? "agent" : entry.via ? "colleague" : "mine";
    comes ??= side !== "mine" && !isDraft;
    node.className = ["message", side, entry.status, comes && "comes", entry.deleted && "gone", isDraft && "caret"].filter(Boolean).join(" ");
    by.hidden = side === "mine" && !entry.edited;
    by.replaceChildren(...byline(entry, side));
    prefix.hidden = !entry.prefix;
    prefix.textContent = entry.prefix ?? "";
    if (entry.deleted) body.replaceChildren("This message was deleted.");
    else if (side === "agent") showMarkdown(body, entry.text, { sources: entry.sources });
    else body.textContent = entry.text;
    if (entry.deleted || side !== "agent") body.shownBlocks = undefined;
    const active = node.getRootNode().activeElement;
    const hadFocus = active && extras.contains(active);
    extras.replaceChildren(...(isDraft ? [] : extrasOf(entry, actions)));
    if (hadFocus) (extras.contains(active) ? active : node).focus({ preventScroll: true });
  };
  return node;
}

function byline(entry, side) {
  const edited = entry.edited && !entry.deleted ? " · edited" : "";
  if (side === "mine") return [edited.slice(3)];
  const name = entry.author_name || (side === "agent" ? "Assistant" : "Support");
  return [element("b", { textContent: name }), `${entry.via ? ` via ${entry.via}` : ""}${edited}`];
}

function extrasOf(entry, actions) {
  const nodes = [];
  if (entry.status === "failed") nodes.push(failure(entry, actions));
  (entry.attachments ?? []).forEach((file, number) => nodes.push(attachment(entry, file, number, actions)));
  if (entry.sources?.length) nodes.push(sources(entry.sources));
  if (entry.buttons?.length) nodes.push(...buttons(entry, actions));
  else if (entry.wait?.note) nodes.push(outcome(entry.wait.note));
  if (entry.feedback) nodes.push(rating(entry, actions));
  return nodes;
}

function failure(entry, actions) {
  const again = element("button", { type: "button", textContent: "Retry" });
  again.addEventListener("click", () => actions.retry(entry.id));
  return element("div", { className: "below" }, entry.problem ? `Not sent: ${entry.problem} ` : "Not sent. ", again);
}

function sources(list) {
  const items = list.map((source) => {
    const address = safeAddress(source.url ?? "");
    const title = address ? link(address, source.title) : element("span", { textContent: source.title });
    return element("li", {}, title, element("span", { className: "quote", textContent: plain(source.quote ?? "") }));
  });
  const summary = element("summary", { textContent: list.length === 1 ? "1 source" : `${list.length} sources` });
  return element("details", { className: "sources", open: true }, summary, element("ol", {}, ...items));
}

/** A quotation without the marks of its Markdown. */
const plain = (text) => text.replace(/^ *(```+|~~~+).*$/gm, "").replace(/^ *#{1,6} +|[`*]/gm, "").trim();

function buttons(entry, actions) {
  const isOpen = entry.wait?.state === "open";
  const made = entry.buttons.map((button) => {
    const node = element("button", { type: "button", textContent: button.text, disabled: !isOpen });
    node.className = `${button.style}${entry.wait?.clicked === button.id ? " chosen" : ""}`;
    node.addEventListener("click", () => {
      for (const other of made) other.disabled = true;
      actions.click(entry, button).catch(() => {
        for (const other of made) other.disabled = false;
      });
    });
    return node;
  });
  const chosen = entry.buttons.find((button) => button.id === entry.wait?.clicked);
  const said = entry.wait?.note ?? (chosen ? `Chosen: ${chosen.text}` : ENDED[entry.wait?.state]);
  const row = element("div", { className: "buttons", role: "group", "aria-label": "Choices" }, ...made);
  return said ? [row, outcome(said)] : [row];
}

const outcome = (text) => element("div", { className: "outcome", textContent: text });

function rating(entry, actions) {
  const thumb = (name, label, value) => {
    const node = element("button", { type: "button", "aria-label": label, title: label }, icon(name));
    node.setAttribute("aria-pressed", String(entry.helpful === value));
    node.addEventListener("click", () => {
      actions.rate(entry, value);
      if (!value) ask();
    });
    return node;
  };
  const row = element("div", { className: "rating" }, thumb("good", "Helpful", true), thumb("poor", "Not helpful", false));
  const wrap = element("div", {}, row);
  const ask = () => {
    const input = element("input", { type: "text", maxLength: 1000, placeholder: "What was missing?" });
    input.setAttribute("aria-label", "What was missing?");
    const form = element("div", { className: "why" }, input, element("button", { type: "button", textContent: "Send" }));
    const send = async () => {
      const isHeard = await actions.rate(entry, false, input.value.trim());
      if (isHeard) form.replaceChildren(outcome("Thank you for telling us."));
    };
    form.lastChild.addEventListener("click", send);
    input.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && send());
    actions.asking = { id: entry.id, form };
    actions.refresh();
    input.focus();
  };
  if (actions.asking?.id === entry.id) wrap.append(actions.asking.form);
  return wrap;
}
