// Makes the package's programs in `dist`, without types, comments and long names: one file for each class that applications
// import, and chunks in `dist/engine` for what they share and for what is loaded where it is used. The worker is one file with
// all that it needs, as not every tool can cut a worker into several.
import { readdir, readFile, rm, writeFile } from "node:fs/promises";

import { build } from "esbuild";

const options = { bundle: true, target: "es2022", minify: true, sourcemap: true, sourcesContent: false, logLevel: "warning" };
// They hold the worker and the modules, and are written last.
const modules = { ...options, format: "esm", external: ["./inline.js", "./inline_introductions.js"] };

// Chunks of an earlier build have other names, and would be packed.
const old = (await readdir("dist", { recursive: true })).filter((name) => /\.js(\.map)?$/.test(name));
for (const name of old) await rm(`dist/${name}`);

await build({
  ...modules,
  entryPoints: ["src/index.ts", "src/draft.ts"],
  outdir: "dist",
  splitting: true,
  // There they find worker and module by `new URL("./worker.js", import.meta.url)`, as the files in `src/engine` say.
  chunkNames: "engine/[name]-[hash]",
});
// For the tests, which take it apart: the same in one file, so that what they need does not decide what pages load.
await build({ ...modules, entryPoints: ["src/testing.ts"], outfile: "dist/engine/testing.js" });

// The worker is given the module, and runs in pages only.
const elsewhere = {
  name: "elsewhere",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/(module|node_udp)\.js$/ }, ({ path }) => ({ path, namespace: "elsewhere" }));
    onLoad({ filter: /.*/, namespace: "elsewhere" }, () => ({ contents: "" }));
  },
};
const worker = "dist/engine/worker.js";
await build({ ...options, entryPoints: ["src/engine/worker.ts"], outfile: worker, format: "iife", plugins: [elsewhere] });

const program = (await readFile(worker, "utf8")).replace(/\/\/# sourceMappingURL.*\n?$/, "");
const module = async (name) => (await readFile(`dist/${name}.wasm`)).toString("base64");
const texts = {
  inline: { worker: program, module: await module("core") },
  inline_introductions: { module: await module("core-introductions") },
};
for (const [file, exported] of Object.entries(texts)) {
  const lines = Object.entries(exported).map(([name, text]) => `export const ${name} = ${JSON.stringify(text)};\n`);
  await writeFile(`dist/engine/${file}.js`, lines.join(""));
}
