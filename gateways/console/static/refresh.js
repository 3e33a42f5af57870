/* Shows the page anew while somebody looks at it and does nothing else there. */
const EVERY = 5000;

const isBusy = () =>
  document.visibilityState !== "visible" ||
  ["INPUT", "SELECT"].includes(document.activeElement?.tagName) ||
  !getSelection()?.isCollapsed;

setInterval(() => isBusy() || location.reload(), EVERY);
