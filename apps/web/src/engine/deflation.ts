/** Compression by the browser. */
import type { Deflation } from "@deplsr/photo";
import { joined } from "@deplsr/photo";

/** Starts compressing. */
export function startDeflation(): Deflation {
  const stream = new CompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  let ready: Uint8Array[] = [];
  const read = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      ready.push(value);
    }
  })();
  // Who writes is told of a failure.
  read.catch(() => undefined);
  const taken = (): Uint8Array => {
    const parts = ready;
    ready = [];
    return joined(parts);
  };
  return {
    async add(piece) {
      // A copy: it is compressed later, when its owner may have changed it.
      await writer.write(Uint8Array.from(piece));
      return taken();
    },
    async end() {
      await writer.close();
      await read;
      return taken();
    },
  };
}
