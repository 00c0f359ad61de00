/** The page, the element for other pages, and the worker behind both. */
import { fileURLToPath } from "node:url";
import { defaultClientConditions, defineConfig, type UserConfig } from "vite";
import { serviceWorker } from "./build/service-worker.ts";
import { sourceUrl } from "./build/source-url.ts";
import { workerPolicy } from "./build/worker-policy.ts";
import manifest from "./package.json" with { type: "json" };

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** What a page needs to share memory between threads. The build's own service worker does it where a host cannot. */
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const config: UserConfig = defineConfig({
  // Every file finds the others from where it lies: the build may stand in any folder, and be used from another origin.
  base: "./",
  resolve: { conditions: ["@deplsr/source", ...defaultClientConditions] },
  worker: { format: "es" },
  define: { SOURCE_URL: JSON.stringify(sourceUrl(manifest)) },
  plugins: [workerPolicy(), serviceWorker()],
  server: { headers },
  preview: { headers },
  build: {
    target: "es2022",
    // Policies that allow no inline code allow no `data:` either.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: file("index.html"), embed: file("embed.html"), deplsr: file("src/index.ts") },
      // The library is imported by name.
      preserveEntrySignatures: "exports-only",
      output: { entryFileNames: ({ name }) => (name === "deplsr" ? "deplsr.js" : "assets/[name]-[hash].js") },
    },
  },
});

export default config;
