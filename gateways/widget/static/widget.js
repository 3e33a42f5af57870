/* The drop-in. On a page of yours:
 *
 *   <script defer src="https://SERVER/widget/widget.js" data-name="Acme support"></script>
 *
 * Settings are data attributes: name, greeting, placeholder, questions ("one|two"), disclaimer, color, position
 * ("left"), open. The page talks to it through window.runllm: open(), close(), toggle(), sendMessage(text).
 * A classic script, because only that can find its own tag; it brings the modules that do the work.
 */
(() => {
  if (window.runllm) return; // a second tag is harmless
  const tag = document.currentScript;
  const here = new URL(".", tag.src);
  const chat = import(new URL("chat.js", here)).then(({ RunllmChat }) => {
    const element = new RunllmChat();
    element.setAttribute("base", new URL("v1", here).href);
    for (const [name, value] of Object.entries(tag.dataset)) element.setAttribute(name, value);
    if (document.body) document.body.append(element);
    else addEventListener("DOMContentLoaded", () => document.body.append(element));
    return element;
  });
  chat.catch((error) => console.error("The chat could not be loaded. Does the page's CSP allow its server?", error));
  window.runllm = {
    open: () => chat.then((element) => element.open()),
    close: () => chat.then((element) => element.close()),
    toggle: () => chat.then((element) => element.toggle()),
    sendMessage: (text) => chat.then((element) => element.send(text)),
  };
})();
