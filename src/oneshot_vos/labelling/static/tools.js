// From mouse, fingers and pen to edits. One finger draws, two zoom and move.

import { paintArea, paintLine, paintPolygon } from "./mask.js";

const NEAR = 10; // CSS pixels: a click this close to the first point closes a polygon
const STILL = 8; // CSS pixels: a finger that moved less has tapped

export class Tools {
  #pointers = new Map(); // those that are down: { x, y } in CSS pixels of the canvas
  #last = null; // where the stroke has come to, in pixels of the mask
  #start = null; // where the pointer went down, in CSS pixels
  #pinched = false; // two fingers were down since the last was lifted
  tool = "brush";
  radius = 10; // pixels of the mask
  id = 1;
  panning = false; // the space bar is down

  constructor(view, editor, pointsChanged) {
    this.view = view;
    this.editor = editor;
    this.pointsChanged = pointsChanged;
    const canvas = view.canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#cancel(event));
    canvas.addEventListener("pointerleave", () => this.#hover(null));
    canvas.addEventListener("dblclick", () => this.closePolygon());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  closePolygon() {
    const points = this.view.points;
    this.dropPolygon();
    if (points.length > 2) this.editor.edit((mask) => paintPolygon(mask, points, this.id));
  }

  dropPolygon() {
    this.#setPoints([]);
  }

  dropPoint() {
    this.#setPoints(this.view.points.slice(0, -1));
  }

  #setPoints(points) {
    this.view.points = points;
    this.view.redraw();
    this.pointsChanged(points.length);
  }

  #place(event) {
    const box = this.view.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #moves(event) {
    return this.tool === "move" || this.panning || event.button === 1 || (event.buttons & 4) > 0;
  }

  get #value() {
    return this.tool === "eraser" ? 0 : this.id;
  }

  #down(event) {
    const place = this.#place(event);
    this.view.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, place);
    if (this.#pointers.size > 1) {
      this.editor.revert();
      this.#last = null;
      this.#pinched = true;
      return;
    }
    this.#pinched = false;
    this.#start = place;
    if (this.#moves(event) || event.button !== 0) return;
    const at = this.view.toMask(place.x, place.y);
    if (this.tool === "fill") this.editor.edit((mask) => paintArea(mask, at, this.id));
    if (this.tool === "brush" || this.tool === "eraser") {
      if (this.editor.begin()) this.#strokeTo(at, at);
    }
  }

  #strokeTo(from, to) {
    this.editor.painted(paintLine(this.editor.mask, from, to, this.radius, this.#value));
    this.#last = to;
  }

  #move(event) {
    const place = this.#place(event);
    const before = this.#pointers.get(event.pointerId);
    if (before && this.#pointers.size === 2) this.#pinch(event.pointerId, before, place);
    else if (before && this.#moves(event)) this.view.move(place.x - before.x, place.y - before.y);
    else if (this.#last && this.editor.drawing) {
      const parts = event.getCoalescedEvents?.() ?? [];
      for (const part of parts.length ? parts : [event]) {
        const at = this.#place(part);
        this.#strokeTo(this.#last, this.view.toMask(at.x, at.y));
      }
    }
    if (before) this.#pointers.set(event.pointerId, place);
    if (event.pointerType !== "touch") this.#hover(place);
  }

  #pinch(id, before, now) {
    const [, other] = [...this.#pointers].find(([each]) => each !== id);
    const distance = (place) => Math.hypot(place.x - other.x, place.y - other.y);
    this.view.move((now.x - before.x) / 2, (now.y - before.y) / 2);
    this.view.zoom(distance(now) / Math.max(1, distance(before)), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  #up(event) {
    const place = this.#place(event);
    this.#pointers.delete(event.pointerId);
    this.#last = null;
    this.editor.finish();
    const tapped = this.#start && Math.hypot(place.x - this.#start.x, place.y - this.#start.y) < STILL;
    if (this.tool === "polygon" && tapped && !this.#pinched && event.button === 0 && !this.#moves(event)) {
      this.#addPoint(place);
    }
  }

  #addPoint(place) {
    if (this.editor.locked) return;
    const { view } = this;
    const [first] = view.points;
    const away = first && Math.hypot(view.x + first.x * view.scale - place.x, view.y + first.y * view.scale - place.y);
    if (view.points.length > 2 && away < NEAR) this.closePolygon();
    else this.#setPoints([...view.points, view.toMask(place.x, place.y)]);
  }

  #cancel(event) {
    this.#pointers.delete(event.pointerId);
    this.#last = null;
    this.editor.revert();
  }

  #hover(place) {
    const round = this.tool === "brush" || this.tool === "eraser";
    this.view.pointer = place && { ...this.view.toMask(place.x, place.y), radius: round ? this.radius : 0 };
    this.view.redraw();
  }

  #wheel(event) {
    event.preventDefault();
    const place = this.#place(event);
    this.view.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), place.x, place.y);
    this.#hover(place);
  }
}
