// The frames of one video: pictures, masks that were drawn and not saved yet, and saving them one after the other.

import { encodePng } from "./png.js";
import { loadMask, loadPicture, saveMask } from "./server.js";

const KEPT = 12; // pictures

export class Frames {
  #suggested; // [[frame, why], …], best first
  #pictures = new Map();
  #drafts = new Map(); // ids of masks by frame number; all 0 where there is none any more
  #saving = Promise.resolve();

  constructor(video) {
    this.video = video; // what the server says of it
    this.#suggested = video.suggested.filter(([name]) => video.frames.includes(name));
    this.given = new Set(video.given);
    this.made = new Set(video.made);
  }

  name(t) {
    return this.video.frames[t];
  }

  // Frames that deserve a mask and have none, best first.
  get suggested() {
    return this.#suggested.map(([name]) => name).filter((name) => !this.given.has(name));
  }

  // Why a frame deserves a mask; undefined for one that was not suggested.
  why(t) {
    return this.#suggested.find(([name]) => name === this.name(t))?.[1];
  }

  get unsaved() {
    return this.#drafts.size;
  }

  picture(t) {
    if (!this.#pictures.has(t)) {
      const loading = loadPicture(this.video.name, this.name(t));
      loading.catch(() => this.#pictures.delete(t)); // to be tried again
      this.#pictures.set(t, loading);
      if (this.#pictures.size > KEPT) this.#pictures.delete(this.#pictures.keys().next().value);
    }
    return this.#pictures.get(t);
  }

  async mask(t) {
    const { width, height } = this.video;
    const draft = this.#drafts.get(t);
    if (draft) return { kind: draft.some(Boolean) ? "given" : "none", mask: { ids: draft.slice(), width, height } };
    const { kind, ids } = await loadMask(this.video.name, this.name(t));
    return { kind, mask: { ids: kind === "none" ? new Uint8Array(width * height) : ids, width, height } };
  }

  // Remember a mask until it is saved.
  draft(t, ids) {
    this.#drafts.set(t, ids);
    if (ids.some(Boolean)) this.given.add(this.name(t));
    else this.given.delete(this.name(t));
  }

  // Save all that was drawn; the answer is [[frame, path or null], …]. What fails stays, and is thrown.
  save() {
    const next = this.#saving.then(() => this.#saveAll());
    this.#saving = next.catch(() => {});
    return next;
  }

  async #saveAll() {
    const saved = [];
    for (const [t, ids] of [...this.#drafts]) {
      const png = await encodePng(ids, this.video.width, this.video.height);
      const answer = await saveMask(this.video.name, this.name(t), png);
      if (this.#drafts.get(t) === ids) this.#drafts.delete(t);
      saved.push([this.name(t), answer.saved]);
    }
    return saved;
  }
}
