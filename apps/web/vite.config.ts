/** The page, the element for other pages, and the worker behind both. */
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig, type UserConfig } from "vite";

const config: UserConfig = defineConfig({
  // Every file finds the others from where it lies: the build may stand in any folder, and be used from another origin.
  base: "./",
  resolve: { conditions: ["@deplsr/source", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Policies that allow no inline code allow no `data:` either.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: Object.fromEntries(
        ["index.html"].map((name) => [name.replace(".html", ""), fileURLToPath(new URL(name, import.meta.url))]),
      ),
    },
  },
});

export default config;
