// Are the dashboards what Grafana reads? Each is held against the types of @grafana/schema, the whole document and
// every panel's options and field settings by the panel's type: a misspelt key or value, or one of another Grafana,
// is an error with its line. Then a wrong dashboard of each kind has to be refused.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));
const schema = join(here, "node_modules/@grafana/schema");
const raw = join(schema, "dist/types/raw");
const folder = join(here, "grafana/dashboards");

// The schema writes fixed texts and numbers as enums; JSON has the plain values.
const PLAIN = `
type Plain<T> = T extends string ? \`\${T}\`
  : T extends number ? (number extends T ? number : \`\${T}\` extends \`\${infer N extends number}\` ? N : never)
  : T extends boolean | null | undefined ? T
  : T extends Array<infer E> ? Plain<E>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
`;

function panels(list) {
  return list.flatMap((panel) => (panel.type === "row" ? panels(panel.panels ?? []) : [panel]));
}

// The dashboard as TypeScript: values written out, so that keys the schema does not know are errors.
function source(dashboard) {
  const all = panels(dashboard.panels);
  const kinds = [...new Set(all.map((panel) => panel.type))];
  const lines = [
    `import type { Dashboard } from ${JSON.stringify(join(raw, "dashboard/x/types.gen.js"))};`,
    ...kinds.map((kind) =>
      `import type * as ${kind} from ${JSON.stringify(join(raw, `composable/${kind}/panelcfg/x/types.gen.js`))};`),
    PLAIN,
    `export const dashboard: Plain<Dashboard> = ${JSON.stringify(dashboard, null, 1)};`,
  ];
  all.forEach((panel, at) => {
    lines.push(`// ${panel.title}`);
    lines.push(`export const options${at}: Partial<Plain<${panel.type}.Options>> = ${JSON.stringify(panel.options ?? {})};`);
    if (panel.fieldConfig?.defaults?.custom) {
      const custom = JSON.stringify(panel.fieldConfig.defaults.custom);
      lines.push(`export const custom${at}: Partial<Plain<${panel.type}.FieldConfig>> = ${custom};`);
    }
  });
  return lines.join("\n");
}

// What the compiler says of some dashboards, by name.
function complaints(dashboards) {
  const options = {
    noEmit: true, strict: true, skipLibCheck: true, types: [],
    target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const empty = mkdtempSync(join(tmpdir(), "aceso-dashboards-"));
  try {
    const files = new Map(dashboards.map(([name, one]) => [join(empty, `${name}.ts`), source(one)]));
    const host = ts.createCompilerHost(options);
    const { readFile, fileExists, getSourceFile } = host;
    host.readFile = (path) => files.get(path) ?? readFile(path);
    host.fileExists = (path) => files.has(path) || fileExists(path);
    host.getSourceFile = (path, target) =>
      files.has(path) ? ts.createSourceFile(path, files.get(path), target) : getSourceFile(path, target);
    const program = ts.createProgram([...files.keys()], options, host);
    const found = new Map(dashboards.map(([name]) => [name, []]));
    for (const one of ts.getPreEmitDiagnostics(program)) {
      const message = ts.flattenDiagnosticMessageText(one.messageText, "\n  ");
      if (!one.file || !files.has(one.file.fileName)) throw new Error(`the schema itself: ${message}`);
      const line = files.get(one.file.fileName).slice(0, one.start).split("\n").length;
      const text = files.get(one.file.fileName).split("\n")[line - 1].trim().slice(0, 100);
      found.get(one.file.fileName.slice(empty.length + 1, -3)).push(`${text}: ${message}`);
    }
    return found;
  } finally {
    rmSync(empty, { recursive: true });
  }
}

const WRONG = {
  "a key that Grafana does not know": (one) => { one.panels[0].gridpos = one.panels[0].gridPos; },
  "a word that it does not know": (one) => { one.panels[0].fieldConfig.defaults.thresholds.mode = "abslute"; },
  "a number as text": (one) => { one.panels[0].gridPos.w = "4"; },
  "an option that the kind of panel does not have": (one) => {
    panels(one.panels).find((panel) => panel.type === "stat").options.colourMode = "background";
  },
};

const read = readdirSync(folder).filter((name) => name.endsWith(".json"))
  .map((name) => [name.slice(0, -5), JSON.parse(readFileSync(join(folder, name), "utf8"))]);
const version = JSON.parse(readFileSync(join(schema, "package.json"), "utf8")).version;
let failed = 0;
for (const [name, said] of complaints(read)) {
  for (const one of said) console.error(`${name}: ${one}`);
  failed += said.length;
}
const withStat = read.find(([, one]) => panels(one.panels).some((panel) => panel.type === "stat"))[1];
const wrong = Object.entries(WRONG).map(([what, spoil], at) => {
  const one = structuredClone(withStat);
  spoil(one);
  return [`wrong${at}`, one, what];
});
const found = complaints(wrong);
for (const [name, , what] of wrong) {
  if (found.get(name).length === 0) {
    console.error(`the check does not find ${what}`);
    failed += 1;
  }
}
const count = read.reduce((sum, [, one]) => sum + panels(one.panels).length, 0);
if (failed) process.exit(1);
console.log(`${read.length} dashboards, ${count} panels: as @grafana/schema ${version} has them; ${wrong.length} wrong ones refused`);
