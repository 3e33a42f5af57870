/* Server-sent events over fetch, which can send the headers that EventSource cannot. */

/** The events of a response: {id, event, data}. `alive` is called whenever anything arrives, comments too. */
export async function* eventsOf(response, alive) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder(); // a stream of its own would pass each piece on a few tasks later
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  const event = { id: "", event: "message", data: null };
  for (const line of block.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) event[line.slice(0, at)] = line.slice(at + 2);
  }
  if (event.data === null) return null;
  try {
    return { ...event, data: JSON.parse(event.data) };
  } catch {
    return null;
  }
}
