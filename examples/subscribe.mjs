// Reads the masks of a cavs stream with nothing of ours: npm install zeromq @msgpack/msgpack
//
// node subscribe.mjs [tcp://127.0.0.1:5555] [number of windows]
//
// bits+zstd needs Node 22.15 or newer; for an older one start the stream with --encoding raw.

import zlib from "node:zlib";
import { pathToFileURL } from "node:url";

const MAGIC = Buffer.from([0x43, 0x41, 0x56, 0x01]);

// Header (object) and payload (Buffer) of any message of wire version 1. decode: of a msgpack library.
export function read(message, decode) {
  const start = message.indexOf(0) + 1;
  if (start === 0 || !message.subarray(start, start + 4).equals(MAGIC)) throw new Error("not a message of wire version 1");
  const length = message.readUInt32LE(start + 4);
  const end = start + 8 + length;
  if (end > message.length) throw new Error("the message is cut off");
  return { header: decode(message.subarray(start + 8, end)), payload: message.subarray(end) };
}

// One Uint8Array (height * width, 0 or 1, row after row) for each object of the header.
export function masksOf(header, payload) {
  const [height, width] = header.size;
  const pixels = height * width;
  if (header.objects.length === 0) return [];
  if (header.encoding === "raw") {
    return header.objects.map((_, k) => Uint8Array.from(payload, (number) => (number === k + 1 ? 1 : 0)));
  }
  if (header.encoding === "bits+zstd") {
    if (!zlib.zstdDecompressSync) throw new Error("this Node has no zstd: start the stream with --encoding raw");
    const stride = Math.ceil(pixels / 8);
    const bits = zlib.zstdDecompressSync(payload, { maxOutputLength: header.objects.length * stride });
    return header.objects.map((_, k) =>
      Uint8Array.from({ length: pixels }, (_, i) => (bits[k * stride + (i >> 3)] >> (7 - (i & 7))) & 1),
    );
  }
  throw new Error(`encoding ${header.encoding}: start the stream with --encoding bits+zstd or raw`);
}

export function linesOf(header, payload) {
  return masksOf(header, payload).map((mask, k) => {
    const { id, cls, score, box } = header.objects[k];
    const area = mask.reduce((sum, pixel) => sum + pixel, 0);
    return `${header.seq}: object ${id} ${cls} ${score.toFixed(2)} at ${box[0]},${box[1]} ${box[2]}x${box[3]}, ${area} pixels`;
  });
}

async function main() {
  const { Subscriber } = await import("zeromq");
  const { decode } = await import("@msgpack/msgpack");
  const socket = new Subscriber({ conflate: true }); // the newest only; works because a message is one part
  socket.connect(process.argv[2] ?? "tcp://127.0.0.1:5555");
  socket.subscribe("cavs/1/masks/");
  let windows = Number(process.argv[3] ?? Infinity);
  for await (const [message] of socket) {
    const { header, payload } = read(message, decode);
    for (const line of linesOf(header, payload)) console.log(line);
    if (--windows <= 0) break;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
