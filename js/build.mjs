// Makes the package's programs: of each file of `src` one in `dist`, without types, comments and long names.
// Nothing is bundled, so that tools find the worker and the module where the files say they are.
import { build } from "esbuild";

await build({
  entryPoints: ["src/**/*.ts"],
  outbase: "src",
  outdir: "dist",
  format: "esm",
  target: "es2022",
  minify: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning",
});
