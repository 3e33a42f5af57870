/* Markdown as DOM nodes. There is no HTML in between: what is not Markdown of ours is text.
 *
 * Paragraphs, headings, lists, quotes, tables, rules, fenced code; bold, italic, struck, code, links, bare addresses.
 * Pictures become links: an address that a browser loads by itself carries data out of a conversation.
 */

const SCHEMES = new Set(["http:", "https:", "mailto:", "tel:"]);
const DEEPEST = 8;
const FARTHEST = 1000; // characters from an opening mark to its closing one

/** Shows `text` in `container`. Blocks that have not changed keep their nodes, so an answer can grow. */
export function showMarkdown(container, text, context = {}) {
  const blocks = blocksOf(text);
  const before = container.shownBlocks ?? [];
  const version = JSON.stringify(context.sources ?? null);
  let same = 0;
  if (container.shownVersion === version) {
    while (same < blocks.length && same < before.length && blocks[same] === before[same]) same += 1;
  }
  while (container.childNodes.length > same) container.lastChild.remove();
  for (const block of blocks.slice(same)) container.append(blockNode(block, context, 0));
  container.shownBlocks = blocks;
  container.shownVersion = version;
}

/** Where a link may lead; null where it may not. */
export function safeAddress(text) {
  try {
    const address = new URL(text);
    return SCHEMES.has(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node && key !== "part") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export function link(address, ...children) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

/* Blocks */

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?: +|$)(.*)$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const TABLE_RULE = /^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$/;

/** The source of each block. A list, a quote and a table are one block. */
function blocksOf(text) {
  const blocks = [];
  let lines = [];
  let fence = null;
  const close = () => {
    if (lines.length) blocks.push(lines.join("\n"));
    lines = [];
  };
  for (const line of text.replaceAll("\r\n", "\n").replaceAll("\t", "    ").split("\n")) {
    const kind = fence ? "code" : kindOf(lines[0] ?? "");
    if (fence) {
      lines.push(line);
      if (line.trimStart().startsWith(fence) && !line.trim().replaceAll(fence[0], "")) {
        fence = null;
        close();
      }
    } else if (kind === "list" && lines.length && (/^ {2,}\S/.test(line) || ITEM.test(line))) {
      lines.push(line);
    } else if (kind === "list" && lines.length && !line.trim()) {
      lines.push(line); // a blank line inside a list, or the end of it: the next line says which
    } else if (FENCE.test(line)) {
      close();
      fence = FENCE.exec(line)[1];
      lines.push(line);
    } else if (!line.trim()) {
      close();
    } else if (kind === "list" && lines.at(-1) === "") {
      close();
      lines.push(line);
    } else if (lines.length && (kind === "heading" || kind === "rule" || kindOf(line) !== kind) && interrupts(line, kind)) {
      close();
      lines.push(line);
    } else {
      lines.push(line);
    }
  }
  close();
  return blocks;
}

function kindOf(line) {
  if (FENCE.test(line)) return "code";
  if (HEADING.test(line)) return "heading";
  if (RULE.test(line)) return "rule";
  if (ITEM.test(line) && line.search(/\S/) < 4) return "list";
  if (/^ {0,3}>/.test(line)) return "quote";
  return "text";
}

function interrupts(line, kind) {
  if (kind === "heading" || kind === "rule") return true;
  const next = kindOf(line);
  if (next === "text") return false; // a lazy line goes on with what is there
  return next !== "list" || kind !== "text" || /^ *([-*+]|1[.)]) +\S/.test(line);
}

function blockNode(source, context, depth) {
  const lines = source.split("\n");
  switch (kindOf(lines[0])) {
    case "code":
      return codeNode(lines);
    case "heading": {
      const [, marks, text] = HEADING.exec(lines[0]);
      return element(`h${Math.min(6, marks.length + 2)}`, {}, ...inline(text, context, 0));
    }
    case "rule":
      return element("hr");
    case "list":
      return depth < DEEPEST ? listNode(lines, context, depth) : plain(source);
    case "quote": {
      if (depth >= DEEPEST) return plain(source);
      const inner = lines.map((line) => line.replace(/^ {0,3}> ?/, "")).join("\n");
      return element("blockquote", {}, ...blocksOf(inner).map((block) => blockNode(block, context, depth + 1)));
    }
    default:
      if (lines.length > 1 && lines[0].includes("|") && TABLE_RULE.test(lines[1])) return tableNode(lines, context);
      return element("p", {}, ...inline(source.trim(), context, 0));
  }
}

const plain = (text) => element("p", {}, text);

function codeNode(lines) {
  const [, fence, language] = FENCE.exec(lines[0]);
  const last = lines.at(-1).trim();
  const isClosed = lines.length > 1 && last.startsWith(fence) && !last.replaceAll(fence[0], "");
  const code = element("code", { textContent: lines.slice(1, isClosed ? -1 : undefined).join("\n") });
  const copy = element("button", { type: "button", className: "copy", textContent: "Copy" });
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(code.textContent).catch(() => {});
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  const head = element("div", { className: "code-head" }, element("span", { textContent: language }), copy);
  return element("div", { className: "code" }, head, element("pre", { tabIndex: 0 }, code));
}

function listNode(lines, context, depth) {
  const [, indent, marker] = ITEM.exec(lines[0]);
  const isOrdered = /\d/.test(marker);
  const list = element(isOrdered ? "ol" : "ul");
  if (isOrdered && Number.parseInt(marker, 10) !== 1) list.start = Number.parseInt(marker, 10);
  let item = null;
  const items = [];
  for (const line of lines) {
    const found = ITEM.exec(line);
    if (found && found[1].length <= indent.length + 1) items.push((item = [found[3]]));
    else item.push(line.slice(Math.min(line.search(/\S|$/), indent.length + marker.length + 1)));
  }
  for (const source of items) {
    const blocks = blocksOf(source.join("\n").trimEnd());
    const isTight = blocks.length > 0 && kindOf(blocks[0]) === "text" && !TABLE_RULE.test(blocks[0].split("\n")[1] ?? "");
    const nodes = blocks.map((block, index) =>
      index === 0 && isTight
        ? element("span", {}, ...inline(block.trim(), context, 0))
        : blockNode(block, context, depth + 1),
    );
    list.append(element("li", {}, ...nodes));
  }
  return list;
}

function tableNode(lines, context) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, name) => element("tr", {}, ...cells(line).map((cell) => element(name, {}, ...inline(cell, context, 0))));
  const body = lines.slice(2).map((line) => row(line, "td"));
  const table = element("table", {}, element("thead", {}, row(lines[0], "th")), element("tbody", {}, ...body));
  return element("div", { className: "table", tabIndex: 0 }, table);
}

/* Inside a line */

const SPECIAL = /[\\`*_~![<h\n]/g;
const PAIRS = ["***", "**", "~~", "*", "__", "_"];
const NAMES = { "**": "strong", __: "strong", "*": "em", _: "em", "~~": "s" };

function inline(text, context, depth) {
  const nodes = [];
  let start = 0;
  let at = 0;
  const take = (node, end) => {
    if (at > start) nodes.push(text.slice(start, at));
    nodes.push(node);
    start = at = end;
  };
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const found = SPECIAL.exec(text);
    if (!found) break;
    at = found.index;
    const match = special(text, at, context, depth);
    if (match) take(match.node, match.end);
    else at += 1;
  }
  if (start < text.length) nodes.push(text.slice(start));
  return nodes;
}

function special(text, at, context, depth) {
  switch (text[at]) {
    case "\\":
      if (text[at + 1] === "\n") return { node: element("br"), end: at + 2 };
      return /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "") ? { node: text[at + 1], end: at + 2 } : null;
    case "\n":
      return / {2,}$/.test(text.slice(0, at)) ? { node: element("br"), end: at + 1 } : null;
    case "`":
      return codeSpan(text, at);
    case "!":
      return text[at + 1] === "[" ? linkAt(text, at + 1, context, depth) : null;
    case "[":
      return citation(text, at, context) ?? linkAt(text, at, context, depth);
    case "<":
      return angled(text, at);
    case "h":
      return bare(text, at);
    default:
      return emphasis(text, at, context, depth);
  }
}

function codeSpan(text, at) {
  const marks = /^`+/.exec(text.slice(at))[0];
  const end = text.indexOf(marks, at + marks.length);
  if (end < 0) return null;
  const code = text.slice(at + marks.length, end).replaceAll("\n", " ");
  return { node: element("code", { textContent: code.trim() || code }), end: end + marks.length };
}

function emphasis(text, at, context, depth) {
  const marks = PAIRS.find((pair) => text.startsWith(pair, at));
  if (!marks || depth >= DEEPEST) return null;
  const from = at + marks.length;
  const isWord = (character) => /[\p{L}\p{N}]/u.test(character ?? "");
  if (/\s|^$/.test(text[from] ?? "") || (marks[0] === "_" && isWord(text[at - 1]))) return null;
  let end = text.indexOf(marks, from + 1);
  while (end >= 0) {
    if (end - from > FARTHEST) return null;
    const isLoose = /\s/.test(text[end - 1]) || (marks[0] === "_" && isWord(text[end + marks.length]));
    const isLonger = marks.length === 1 && (text[end + 1] === marks || text[end - 1] === marks);
    if (!isLoose && !isLonger) break;
    end = text.indexOf(marks, end + (isLonger ? 2 : 1));
  }
  if (end < 0) return null;
  const inner = inline(text.slice(from, end), context, depth + 1);
  const node =
    marks === "***" ? element("strong", {}, element("em", {}, ...inner)) : element(NAMES[marks], {}, ...inner);
  return { node, end: end + marks.length };
}

/** `[n]`, where there is a source n. */
function citation(text, at, context) {
  const found = /^\[(\d{1,2})\](?!\()/.exec(text.slice(at, at + 5));
  const source = found && context.sources?.[Number(found[1]) - 1];
  if (!source) return null;
  const address = safeAddress(source.url ?? "");
  const node = element("sup", { className: "cite" }, address ? link(address, found[1]) : found[1]);
  node.title = source.title;
  return { node, end: at + found[0].length };
}

function linkAt(text, at, context, depth) {
  const found = /^\[((?:[^[\]\\\n]|\\.|\[[^[\]\n]*\])*)\]\(\s*<?((?:[^\s<>()]|\([^\s()]*\))*)>?(?:\s+["'(][^\n]*?["')])?\s*\)/.exec(
    text.slice(at, at + 3000),
  );
  if (!found || depth >= DEEPEST) return null;
  const isPicture = text[at - 1] === "!";
  const label = isPicture ? [found[1] || "picture"] : inline(found[1] || found[2], context, depth + 1);
  const address = safeAddress(found[2]);
  const node = address ? link(address, ...label.map(withoutLinks)) : element("span", {}, ...label);
  return { node, end: at + found[0].length };
}

/** A link inside a link would be taken apart by the browser. */
const withoutLinks = (node) => (node instanceof Node && node.querySelector?.("a") ? node.textContent : unlinked(node));
const unlinked = (node) => (node instanceof HTMLAnchorElement ? node.textContent : node);

function angled(text, at) {
  const found = /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/.exec(text.slice(at, at + 2100));
  const address = found && safeAddress(found[1]);
  return address ? { node: link(address, found[1]), end: at + found[0].length } : null;
}

function bare(text, at) {
  if (at > 0 && /[\p{L}\p{N}/]/u.test(text[at - 1])) return null;
  const found = /^https?:\/\/[^\s<>"'`|]+/.exec(text.slice(at, at + 2100));
  if (!found) return null;
  let shown = found[0].replace(/[.,:;!?*_~]+$/, "");
  if (shown.endsWith(")") && !shown.includes("(")) shown = shown.slice(0, -1);
  const address = safeAddress(shown);
  return address ? { node: link(address, shown), end: at + shown.length } : null;
}
