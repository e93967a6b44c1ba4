// Reads charts, one JSON text a line, and answers with what each version of Mermaid makes of it:
// {"10.9": {"title": "…"}, "11.4": {"error": "…"}, …}. Each version has a page of its own.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const vm = require("node:vm");
const { JSDOM } = require(path.resolve("node_modules/jsdom"));

const versions = {};
for (const name of fs.readdirSync("node_modules")) {
  if (!name.startsWith("mermaid-")) continue;
  const page = new JSDOM("<!doctype html><body></body>", { runScripts: "outside-only" });
  page.window.structuredClone ??= structuredClone;
  const source = fs.readFileSync(path.join("node_modules", name, "mermaid.min.js"), "utf8");
  new vm.Script(source).runInContext(page.getInternalVMContext());
  versions[name.slice("mermaid-".length)] = page.window.mermaid;
}

async function read(mermaid, chart) {
  try {
    await mermaid.parse(chart);
    const diagram = await mermaid.mermaidAPI.getDiagramFromText(chart);
    return { kind: diagram.type, title: diagram.db.getDiagramTitle() };
  } catch (error) {
    return { error: String(error.message ?? error) };
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const answers = {};
    for (const [name, mermaid] of Object.entries(versions)) {
      answers[name] = await read(mermaid, JSON.parse(line));
    }
    process.stdout.write(JSON.stringify(answers) + "\n");
  }
}

main();
