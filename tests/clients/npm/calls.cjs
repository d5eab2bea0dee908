// Makes calls of the dicomweb-client of npm, given as JSON on standard input, one after the other:
// {"url": ..., "calls": [{"method": ..., "options": {...}}]}. Prints a JSON list of {"value"} or {"status", "text"}.
// Data sets to store are given in base64.

const { createRequire } = require("node:module");
const { join } = require("node:path");

const load = createRequire(join(process.cwd(), "package.json"));
const NodeRequest = load("xhr2");
const { DICOMwebClient } = load("dicomweb-client").api;

// Accepts everything unless it is told what to accept, as requests of browsers do.
globalThis.XMLHttpRequest = class extends NodeRequest {
  setRequestHeader(name, value) {
    this.told ||= name.toLowerCase() === "accept";
    super.setRequestHeader(name, value);
  }

  send(data) {
    if (!this.told) {
      super.setRequestHeader("Accept", "*/*");
    }
    super.send(data);
  }
};

function arrayBuffer(base64) {
  const bytes = Buffer.from(base64, "base64");
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

async function answer(client, { method, options = {} }) {
  if (options.datasets) {
    options.datasets = options.datasets.map(arrayBuffer);
  }
  try {
    return { value: await client[method](options) };
  } catch (error) {
    return { status: error.status ?? 0, text: String(error.response ?? error.stack) };
  }
}

async function main() {
  const pieces = [];
  for await (const piece of process.stdin) {
    pieces.push(piece);
  }
  const { url, calls } = JSON.parse(Buffer.concat(pieces).toString("utf8"));
  const client = new DICOMwebClient({ url, verbose: false });
  const answers = [];
  for (const call of calls) {
    answers.push(await answer(client, call));
  }
  process.stdout.write(JSON.stringify(answers));
}

main();
