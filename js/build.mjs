// Makes the package's programs: of each file of `src` one in `dist`, without types, comments and long names. They are not
// bundled, so that tools find the worker and the module where the files say they are; only the worker is one file with all
// that it needs, as not every tool can cut a worker into several.
import { readFile, writeFile } from "node:fs/promises";

import { build } from "esbuild";

const options = { format: "esm", target: "es2022", minify: true, sourcemap: true, sourcesContent: false, logLevel: "warning" };

await build({ ...options, entryPoints: ["src/**/*.ts"], outbase: "src", outdir: "dist" });

// The worker is given the module, and runs in pages only.
const elsewhere = {
  name: "elsewhere",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/(module|node_udp)\.js$/ }, ({ path }) => ({ path, namespace: "elsewhere" }));
    onLoad({ filter: /.*/, namespace: "elsewhere" }, () => ({ contents: "" }));
  },
};
const worker = "dist/engine/worker.js";
await build({ ...options, entryPoints: ["src/engine/worker.ts"], outfile: worker, bundle: true, format: "iife", plugins: [elsewhere] });

const program = (await readFile(worker, "utf8")).replace(/\/\/# sourceMappingURL.*\n?$/, "");
const module = (await readFile("dist/core.wasm")).toString("base64");
const inline = Object.entries({ worker: program, module }).map(([name, text]) => `export const ${name} = ${JSON.stringify(text)};\n`);
await writeFile("dist/engine/inline.js", inline.join(""));
