/* The look. A constructed sheet: it needs no `style-src` in the page's policy, and nothing of the page gets in. */

const CSS = `
:host {
  all: initial;
  --accent: var(--runllm-accent, #4f46e5);
  --on-accent: var(--runllm-on-accent, #fff);
  --surface: var(--runllm-surface, #fff);
  --raised: var(--runllm-raised, #f4f5f7);
  --text: var(--runllm-text, #1b1f27);
  --soft: var(--runllm-soft, #5b6472);
  --line: var(--runllm-line, #e3e6eb);
  --bad: #b42318;
  --radius: var(--runllm-radius, 16px);
  --link: var(--accent);
  color-scheme: light;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  color: var(--text);
  -webkit-text-size-adjust: 100%;
}
@media (prefers-color-scheme: dark) {
  :host(:not([theme="light"])) {
    --accent: var(--runllm-accent, #7c83ff);
    --on-accent: var(--runllm-on-accent, #0d0f16);
    --surface: var(--runllm-surface, #16181f);
    --raised: var(--runllm-raised, #22252f);
    --text: var(--runllm-text, #e9ebf1);
    --soft: var(--runllm-soft, #a3abba);
    --line: var(--runllm-line, #333845);
    --link: #a5aaff;
    --bad: #ff9d92;
    color-scheme: dark;
  }
}
*, *::before, *::after { box-sizing: border-box; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
button:disabled { cursor: default; }
svg { width: 20px; height: 20px; display: block; fill: none; stroke: currentColor; stroke-width: 2;
      stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[hidden] { display: none !important; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.launcher {
  position: fixed; z-index: var(--runllm-z, 2147483000); inset-block-end: 20px; inset-inline-end: 20px;
  width: 56px; height: 56px; border-radius: 50%; display: grid; place-items: center;
  background: var(--accent); color: var(--on-accent);
  box-shadow: 0 6px 20px rgb(15 18 30 / .28); transition: transform .15s;
}
.launcher:hover { transform: translateY(-2px); }
.launcher svg { width: 26px; height: 26px; }
.badge { position: absolute; top: -2px; right: -2px; min-width: 20px; height: 20px; padding: 0 5px; border-radius: 10px;
         background: #d92d20; color: #fff; font-size: 12px; line-height: 20px; text-align: center; }

.panel {
  position: fixed; z-index: var(--runllm-z, 2147483000); inset-block-end: 88px; inset-inline-end: 20px;
  width: min(420px, calc(100vw - 40px)); height: min(680px, calc(100dvh - 108px));
  display: flex; flex-direction: column; overflow: hidden;
  background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius);
  box-shadow: 0 16px 48px rgb(15 18 30 / .22);
}
:host([position="left"]) .launcher, :host([position="left"]) .panel { inset-inline: 20px auto; }
:host([mode="inline"]) { display: block; height: 100%; }
:host([mode="inline"]) .panel { position: static; width: 100%; height: 100%; box-shadow: none; }
:host([mode="inline"]) .launcher, :host([mode="inline"]) .close { display: none; }

header { display: flex; align-items: center; gap: 8px; padding: 12px 8px 12px 18px; border-bottom: 1px solid var(--line); }
header h2 { margin: 0; font-size: 16px; line-height: 1.3; font-weight: 650; }
header .who { flex: 1; min-width: 0; }
header .line { font-size: 12.5px; color: var(--soft); }
header .line::before { content: ""; display: inline-block; width: 7px; height: 7px; margin-inline-end: 6px;
                       border-radius: 50%; background: #17a34a; }
header .line.off::before { background: #d99a1c; }
header button { width: 40px; height: 40px; display: grid; place-items: center; border-radius: 10px; color: var(--soft); }
header button:hover { background: var(--raised); color: var(--text); }

.scroll { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 18px 18px 6px; position: relative; }
.log { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; gap: 18px; }
.message { max-width: 100%; min-width: 0; overflow-wrap: anywhere; }
.comes { animation: come .18s ease-out; }
@keyframes come { from { opacity: 0; transform: translateY(4px); } }
.message:focus { outline: none; }
.by { font-size: 12.5px; color: var(--soft); margin-bottom: 3px; }
.by b { color: var(--text); font-weight: 600; }
.mine { align-self: flex-end; max-width: 86%; }
.mine .body { background: var(--accent); color: var(--on-accent); padding: 9px 14px; border-radius: 16px 16px 4px 16px;
              white-space: pre-wrap; }
.mine.sending .body { opacity: .65; }
.mine .by { text-align: end; }
.colleague { align-self: flex-start; max-width: 92%; }
.colleague .body { background: var(--raised); padding: 9px 14px; border-radius: 16px 16px 16px 4px; white-space: pre-wrap; }
.gone .body { color: var(--soft); font-style: italic; background: none; padding: 0; }
.prefix { color: var(--soft); font-size: 13.5px; }
.below { margin-top: 4px; font-size: 12.5px; color: var(--soft); text-align: end; }
.failed .below { color: var(--bad); }
.failed .body { background: var(--raised); color: var(--text); }
.below button { color: inherit; text-decoration: underline; padding: 2px 4px; font-weight: 600; }

.body > :first-child { margin-top: 0; }
.body > :last-child { margin-bottom: 0; }
.body p, .body ul, .body ol, .body blockquote, .body .code, .body .table { margin: 0 0 10px; }
.body h3, .body h4, .body h5, .body h6 { margin: 16px 0 6px; font-size: 15.5px; line-height: 1.35; font-weight: 650; }
.body ul, .body ol { padding-inline-start: 22px; }
.body ul { list-style: disc; }
.body li { margin: 3px 0; }
.body li > ul, .body li > ol { margin: 2px 0; }
.body blockquote { border-inline-start: 3px solid var(--line); padding-inline-start: 12px; color: var(--soft); }
.body hr { border: 0; border-top: 1px solid var(--line); margin: 14px 0; }
.body a, .sources a { color: var(--link); text-decoration: underline; text-underline-offset: 2px; }
.mine .body a { color: inherit; }
.body code { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
             background: var(--raised); border-radius: 5px; padding: .12em .35em; }
.code { border: 1px solid var(--line); border-radius: 10px; overflow: hidden; background: var(--raised); }
.code-head { display: flex; justify-content: space-between; align-items: center; padding: 2px 6px 2px 12px; font-size: 12px;
             color: var(--soft); border-bottom: 1px solid var(--line); }
.code-head .copy { padding: 5px 8px; border-radius: 6px; }
.code-head .copy:hover { color: var(--text); }
.code pre { margin: 0; padding: 10px 12px; overflow-x: auto; }
.code pre code { background: none; padding: 0; white-space: pre; overflow-wrap: normal; }
.table { overflow-x: auto; }
.table table { border-collapse: collapse; font-size: 14px; }
.table th, .table td { border: 1px solid var(--line); padding: 5px 10px; text-align: start; overflow-wrap: normal; }
.table th { background: var(--raised); font-weight: 600; }
.cite { line-height: 0; font-size: .72em; }
.cite a { text-decoration: none; padding: 1px 5px; border-radius: 6px; background: var(--raised); }

.caret .body > :last-child::after, .caret .body:empty::after {
  content: ""; display: inline-block; width: .5em; height: 1.05em; margin-inline-start: 2px; vertical-align: -.15em;
  background: var(--accent); border-radius: 1px; animation: blink 1s steps(2, jump-none) infinite;
}
.caret .body > .code:last-child::after, .caret .body > .table:last-child::after { display: none; }
@keyframes blink { to { opacity: 0; } }
.thinking { display: flex; align-items: center; gap: 10px; color: var(--soft); font-size: 14px; min-height: 24px;
            animation: come .18s ease-out .35s backwards; }
.dots { display: flex; gap: 4px; }
.dots i { width: 6px; height: 6px; border-radius: 50%; background: var(--soft); animation: pulse 1.2s .35s infinite; }
.dots i:nth-child(2) { animation-delay: .5s; }
.dots i:nth-child(3) { animation-delay: .65s; }
@keyframes pulse { 0%, 60%, 100% { opacity: .3; } 30% { opacity: 1; } }

.sources { margin-top: 12px; border-top: 1px solid var(--line); padding-top: 8px; font-size: 13.5px; }
.sources summary { cursor: pointer; color: var(--soft); padding: 2px 0; width: fit-content; }
.sources ol { margin: 6px 0 0; padding-inline-start: 22px; }
.sources li { margin: 5px 0; }
.sources .quote { color: var(--soft); display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical;
                  overflow: hidden; }
.buttons { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 12px; }
.buttons button { min-height: 40px; padding: 8px 16px; border-radius: 10px; border: 1px solid var(--line);
                  background: var(--surface); font-weight: 600; }
.buttons button:hover:enabled { border-color: var(--accent); }
.buttons .primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.buttons .danger { color: var(--bad); border-color: currentColor; }
.buttons button:disabled { opacity: .5; }
.buttons .chosen:disabled { opacity: 1; outline: 2px solid var(--accent); outline-offset: 1px; }
.file { margin-top: 8px; font-size: 13.5px; color: var(--soft); overflow-wrap: anywhere; }
.mine .file { text-align: end; }
.file button { text-align: start; border-radius: 10px; color: var(--link); text-decoration: underline;
               text-underline-offset: 2px; padding: 2px 0; }
.file canvas { display: block; max-width: 100%; border-radius: 10px; border: 1px solid var(--line); }
.outcome { margin-top: 6px; font-size: 13px; color: var(--soft); }
.rating { display: flex; gap: 2px; margin: 6px 0 0 -8px; color: var(--soft); }
.rating > button { width: 36px; height: 36px; display: grid; place-items: center; border-radius: 9px; }
.rating > button:hover { background: var(--raised); color: var(--text); }
.rating > button[aria-pressed="true"] { color: var(--accent); }
.rating svg { width: 17px; height: 17px; }
.rating > button[aria-pressed="true"] svg { fill: currentColor; fill-opacity: .2; }
.why { display: flex; gap: 8px; margin-top: 6px; }
.why input { flex: 1; min-width: 0; min-height: 40px; font: inherit; font-size: 16px; color: var(--text);
             background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 6px 12px; }
.why button { padding: 0 14px; border-radius: 10px; background: var(--raised); font-weight: 600; }

.empty { padding: 10px 0 4px; }
.empty p { margin: 0 0 14px; font-size: 18px; line-height: 1.45; font-weight: 600; text-wrap: balance; overflow-wrap: anywhere; }
.questions { display: flex; flex-direction: column; gap: 8px; align-items: flex-start; }
.questions button { text-align: start; padding: 10px 14px; border: 1px solid var(--line); border-radius: 12px; min-height: 44px; }
.questions button:hover { border-color: var(--accent); background: var(--raised); }

.latest { position: sticky; bottom: 8px; margin: -40px auto 0; width: fit-content; display: flex; align-items: center;
          gap: 6px; padding: 7px 14px; border-radius: 18px; background: var(--surface); border: 1px solid var(--line);
          box-shadow: 0 4px 14px rgb(15 18 30 / .18); font-size: 13px; font-weight: 600; }
.latest svg { width: 15px; height: 15px; }
.notice { margin: 0 18px 8px; padding: 9px 12px; border-radius: 10px; background: var(--raised); font-size: 13.5px; }
form { display: flex; align-items: flex-end; gap: 8px; margin: 6px 14px 14px; padding: 6px 6px 6px 14px;
       border: 1px solid var(--line); border-radius: 14px; background: var(--surface); }
form:focus-within { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
textarea { flex: 1; min-width: 0; max-height: 160px; resize: none; border: 0; outline: none; background: none;
           font: inherit; font-size: 16px; line-height: 24px; color: inherit; padding: 8px 0; }
textarea:focus-visible { outline: none; }
textarea::placeholder { color: var(--soft); opacity: 1; }
form button { width: 40px; height: 40px; flex: none; display: grid; place-items: center; border-radius: 10px;
              background: var(--accent); color: var(--on-accent); }
form button:disabled { background: var(--raised); color: var(--soft); }
.fine { margin: -6px 18px 12px; font-size: 12px; color: var(--soft); text-align: center; }

@media (max-width: 480px) {
  :host(:not([mode="inline"])) .panel { inset: 0; width: 100%; height: 100dvh; border: 0; border-radius: 0; }
  :host(:not([mode="inline"])[opened]) .launcher { display: none; }
}
@media (min-width: 481px) { :host(:not([mode="inline"])[opened]) .launcher .badge { display: none; } }
@media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .mine .body, .panel, form button, .launcher { border: 1px solid CanvasText; } }
`;

export function sheet() {
  const made = new CSSStyleSheet();
  made.replaceSync(CSS);
  return made;
}

const ICONS = {
  chat: "M21 11.5a8.4 8.4 0 0 1-8.5 8.3 9 9 0 0 1-3.4-.7L3 21l1.9-5.2a8 8 0 0 1-.9-3.8 8.4 8.4 0 0 1 8.5-8.3 8.4 8.4 0 0 1 8.5 7.8z",
  close: "M18 6 6 18M6 6l12 12",
  send: "M12 19V5M5 12l7-7 7 7",
  fresh: "M12 5v14M5 12h14",
  down: "M12 5v14M19 12l-7 7-7-7",
  good: "M7 22V11l4-9a3 3 0 0 1 3 3v4h5.5a2 2 0 0 1 2 2.3l-1.4 9a2 2 0 0 1-2 1.7H7zM7 11H3v11h4",
  poor: "M17 2v11l-4 9a3 3 0 0 1-3-3v-4H4.5a2 2 0 0 1-2-2.3l1.4-9a2 2 0 0 1 2-1.7H17zM17 13h4V2h-4",
};

export function icon(name) {
  const SVG = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
