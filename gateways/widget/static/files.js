/* Files that came with a message from elsewhere.
 *
 * Their content is fetched with the conversation's token, never by an address that holds it, and nothing of it runs:
 * pictures are drawn, which needs no `img-src` of the page's policy, and everything else is saved.
 */

import { element } from "./markdown.js";

const SHARP = 2; // pixels drawn for each pixel of the page
const WIDE = 320;
const HIGH = 240;

/** A node for a file of a message. */
export function attachment(entry, file, number, actions) {
  if (!file.is_here) return element("div", { className: "file", textContent: `📎 ${file.name}` });
  const save = element("button", { type: "button", textContent: labelOf(file), title: `Save ${file.name}` });
  save.addEventListener("click", () => actions.file(entry, number).then((content) => saved(content, file.name), () => {}));
  const node = element("div", { className: "file" }, save);
  if (file.is_picture) {
    actions.picture(entry, number).then((content) => drawn(content, file.name)).then(
      (picture) => save.replaceChildren(picture),
      () => {}, // the button with its name stays
    );
  }
  return node;
}

function labelOf({ name, size }) {
  return `📎 ${name}${size ? ` (${shown(size)})` : ""}`;
}

function shown(size) {
  if (size >= 1024 * 1024) return `${(size / 1024 / 1024).toFixed(1)} MB`;
  return size >= 1024 ? `${Math.round(size / 1024)} kB` : `${size} bytes`;
}

async function drawn(content, name) {
  const bitmap = await createImageBitmap(content);
  const scale = Math.min(1, WIDE / bitmap.width, HIGH / bitmap.height);
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const sharp = Math.min(SHARP, 1 / scale);
  const canvas = element("canvas", { width: Math.round(width * sharp), height: Math.round(height * sharp) });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  canvas.style.width = `${width}px`;
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

/** Has the browser save it. As bytes of no kind, so that it is not opened, whatever is in it. */
function saved(content, name) {
  const address = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
