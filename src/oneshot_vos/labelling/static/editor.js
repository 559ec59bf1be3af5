// The mask of the frame that is shown, and its edits.

import { History, objectsOf, union } from "./mask.js";

export class Editor {
  #before = null; // the ids before the edit that is going on
  #changed = null; // its rectangle
  #histories = new Map(); // by frame: { history, base }, base being the kind of mask before all edits
  mask = null; // { ids, width, height }
  kind = "none"; // "given": drawn or saved, "made": by a network, "none"
  frame = -1;
  edits = 0; // begun so far
  locked = true; // while another frame is on its way

  constructor(view, edited) {
    this.view = view;
    this.edited = edited; // called after every edit
  }

  show(frame, picture, mask, kind) {
    this.frame = frame;
    this.mask = mask;
    this.kind = kind;
    this.view.dimmed = kind === "made";
    this.view.show(picture, mask);
    this.locked = false;
  }

  // Another frame is on its way.
  leave() {
    this.locked = true;
    this.frame = -1;
  }

  // Another video is.
  forget() {
    this.#histories.clear();
    this.leave();
  }

  get canUndo() {
    return !this.locked && Boolean(this.#histories.get(this.frame)?.history.canUndo);
  }

  get canRedo() {
    return !this.locked && Boolean(this.#histories.get(this.frame)?.history.canRedo);
  }

  get drawing() {
    return this.#before !== null;
  }

  begin() {
    if (this.locked) return false;
    this.edits++;
    this.#before = this.mask.ids.slice();
    this.#changed = null;
    return true;
  }

  // What was painted since `begin`: the rectangle that a function of mask.js returned.
  painted(rectangle) {
    if (!rectangle) return;
    this.#changed = union(this.#changed, rectangle);
    this.view.dimmed = false;
    this.view.recolour(rectangle);
  }

  finish() {
    const before = this.#before;
    this.#before = null;
    if (!before || !this.#changed) return;
    if (!this.#histories.has(this.frame)) {
      this.#histories.set(this.frame, { history: new History(), base: this.kind });
    }
    this.#histories.get(this.frame).history.add(this.mask, before, this.#changed);
    this.#settle();
  }

  revert() {
    if (!this.#before) return;
    this.mask.ids.set(this.#before);
    this.#before = null;
    this.view.dimmed = this.kind === "made";
    this.view.recolour();
  }

  // One edit as a whole: `paint` is called with the mask and returns the rectangle.
  edit(paint) {
    if (!this.begin()) return;
    this.painted(paint(this.mask));
    this.finish();
  }

  // The mask counts as given as it is.
  keep() {
    if (this.kind === "made") this.edit((mask) => ({ x: 0, y: 0, width: mask.width, height: mask.height }));
  }

  undo() {
    this.#travel("undo");
  }

  redo() {
    this.#travel("redo");
  }

  #travel(way) {
    if (this.locked || this.drawing) return;
    const rectangle = this.#histories.get(this.frame)?.history[way](this.mask);
    if (!rectangle) return;
    this.edits++;
    this.view.recolour(rectangle);
    this.#settle();
  }

  #settle() {
    const { history, base } = this.#histories.get(this.frame);
    const untouched = !history.canUndo && !history.lost && base === "made";
    this.kind = untouched ? "made" : objectsOf(this.mask.ids).length ? "given" : "none";
    this.view.dimmed = untouched;
    this.view.redraw();
    this.edited();
  }
}
