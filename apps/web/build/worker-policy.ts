/** The page's security policy for its workers, from servers of ours: it is written in the page, and workers have that of their own answer. */
import { readFile } from "node:fs/promises";
import type { Connect, Plugin } from "vite";

/** The policy in the page. @throws Error where it has none */
export async function pagePolicy(): Promise<string> {
  const page = await readFile(new URL("../index.html", import.meta.url), "utf8");
  const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(page)?.[1];
  if (policy === undefined) throw new Error("index.html has no Content-Security-Policy");
  return policy;
}

/** `vite` and `vite preview` answer with it for scripts; of what is no worker, browsers ignore it. */
export function workerPolicy(): Plugin {
  const add = async ({ middlewares }: { readonly middlewares: Connect.Server }): Promise<void> => {
    const policy = await pagePolicy();
    middlewares.use(({ url = "" }, response, next) => {
      const { pathname } = new URL(url, "http://localhost");
      if (/\.[jt]s$/.test(pathname)) response.setHeader("Content-Security-Policy", policy);
      next();
    });
  };
  return { name: "worker-policy", configureServer: add, configurePreviewServer: add };
}
