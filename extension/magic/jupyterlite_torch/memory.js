// Bytes between JavaScript and Python's memory, which is that of Pyodide's `module`. Pyodide's own
// conversions take an address above 2 GiB for a negative one (314): there `to_bytes` and `assign_to`
// fail, and `assign` reads zeros. The memory is looked up each time, since one that grows gets
// another view.
module => ({
  put: (bytes, address) => module.HEAPU8.set(bytes, address),
  get: (address, bytes) => bytes.set(module.HEAPU8.subarray(address, address + bytes.length)),
  run: code =>
    new WebAssembly.Instance(new WebAssembly.Module(code), {
      python: { memory: module.memory }
    }).exports,
  Stream: class {
    constructor({ body }) {
      this.closed = false;
      try {
        // One buffer for all of it: 1.4 times as fast as a new one for each chunk, which also
        // wait for the collector by the hundred MiB (Chromium 156).
        this.reader = body.getReader({ mode: 'byob' });
        this.buffer = new ArrayBuffer(2 ** 20);
      } catch {
        this.reader = body.getReader();
      }
    }
    async next(wanted) {
      if (this.rest?.length) return { value: this.rest };
      if (!this.buffer) return this.reader.read();
      const length = Math.min(wanted, this.buffer.byteLength);
      const view = new Uint8Array(this.buffer, 0, length);
      const result = await this.reader.read(view, { min: length });
      this.buffer = result.value?.buffer ?? this.buffer;
      return result;
    }
    // From Python each chunk would cost as much as copying several of them.
    async read(address, wanted) {
      let filled = 0;
      while (filled < wanted) {
        const { done, value } = await this.next(wanted - filled);
        // The place is somebody else's once Python has closed the stream.
        if (this.closed) break;
        const part = value?.subarray(0, wanted - filled) ?? [];
        module.HEAPU8.set(part, address + filled);
        filled += part.length;
        this.rest = value?.subarray(part.length);
        if (done) break;
      }
      return filled;
    }
    close() {
      this.closed = true;
      this.reader.cancel().catch(() => {});
    }
  }
});
