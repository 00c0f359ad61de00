/** Deflate for PNG, by zlib. */
import { promisify } from "node:util";
import { constants, deflateRaw, type ZlibOptions } from "node:zlib";
import type { StartDeflation } from "@deplsr/photo";

const compress = promisify(deflateRaw);

/**
 * Each piece is compressed for itself, on a thread of its own, and ends on a whole byte: one behind the other they are one stream.
 */
const inPieces =
  (options: ZlibOptions): StartDeflation =>
  () => ({
    add: (piece) => compress(piece, { ...options, finishFlush: constants.Z_SYNC_FLUSH }),
    // The end is a last piece of nothing.
    end: async () => Uint8Array.of(3, 0),
  });

/** After Paeth's filter photographs hold runs and little else: finding those alone is faster than level 2, and smaller. */
export const fastDeflation: StartDeflation = inPieces({ level: 1, strategy: constants.Z_RLE });

/** Bytes as they are, for what is read again at once. */
export const noDeflation: StartDeflation = inPieces({ level: 0 });
