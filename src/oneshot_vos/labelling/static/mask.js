// Drawing on a mask { ids: Uint8Array, width, height }. Pixel (x, y) covers x to x + 1; its centre decides.
// Every function returns the rectangle { x, y, width, height } that may have changed, or null.

function clipped(mask, left, top, right, bottom) {
  const x = Math.max(0, Math.floor(left));
  const y = Math.max(0, Math.floor(top));
  const width = Math.min(mask.width, Math.ceil(right)) - x;
  const height = Math.min(mask.height, Math.ceil(bottom)) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

export function union(one, other) {
  if (!one || !other) return one || other;
  const x = Math.min(one.x, other.x);
  const y = Math.min(one.y, other.y);
  return {
    x,
    y,
    width: Math.max(one.x + one.width, other.x + other.width) - x,
    height: Math.max(one.y + one.height, other.y + other.height) - y,
  };
}

// All pixels within `radius` of the line from `from` to `to` ({ x, y }), and at least those that it starts in.
export function paintLine(mask, from, to, radius, id) {
  const rectangle = clipped(
    mask,
    Math.min(from.x, to.x) - radius - 1,
    Math.min(from.y, to.y) - radius - 1,
    Math.max(from.x, to.x) + radius + 1,
    Math.max(from.y, to.y) + radius + 1,
  );
  if (!rectangle) return null;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const squared = dx * dx + dy * dy;
  const reach = Math.max(radius, Math.SQRT1_2) ** 2;
  for (let y = rectangle.y; y < rectangle.y + rectangle.height; y++) {
    for (let x = rectangle.x; x < rectangle.x + rectangle.width; x++) {
      const px = x + 0.5 - from.x;
      const py = y + 0.5 - from.y;
      const along = squared ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      if ((px - along * dx) ** 2 + (py - along * dy) ** 2 <= reach) mask.ids[y * mask.width + x] = id;
    }
  }
  return rectangle;
}

// Pixels inside the polygon through `points`, by the even-odd rule.
export function paintPolygon(mask, points, id) {
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const rectangle = clipped(mask, Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
  if (!rectangle || points.length < 3) return null;
  for (let y = rectangle.y; y < rectangle.y + rectangle.height; y++) {
    const middle = y + 0.5;
    const crossings = [];
    points.forEach((point, i) => {
      const next = points[(i + 1) % points.length];
      if (point.y > middle !== next.y > middle) {
        crossings.push(point.x + ((middle - point.y) / (next.y - point.y)) * (next.x - point.x));
      }
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const start = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const stop = Math.min(mask.width, Math.ceil(crossings[i + 1] - 0.5));
      if (stop > start) mask.ids.fill(id, y * mask.width + start, y * mask.width + stop);
    }
  }
  return rectangle;
}

// The area of one id around the pixel `at`, its pixels side by side.
export function paintArea(mask, at, id) {
  const x0 = Math.floor(at.x);
  const y0 = Math.floor(at.y);
  if (x0 < 0 || y0 < 0 || x0 >= mask.width || y0 >= mask.height) return null;
  const { ids, width } = mask;
  const before = ids[y0 * width + x0];
  if (before === id) return null;
  const waiting = [y0 * width + x0];
  while (waiting.length) {
    const pixel = waiting.pop();
    const row = Math.floor(pixel / width) * width;
    if (ids[pixel] !== before) continue;
    let left = pixel;
    let right = pixel;
    while (left > row && ids[left - 1] === before) left--;
    while (right < row + width - 1 && ids[right + 1] === before) right++;
    ids.fill(id, left, right + 1);
    for (const other of [-width, width]) {
      for (let p = left + other; p <= right + other; p++) {
        if (ids[p] === before && (p === left + other || ids[p - 1] !== before)) waiting.push(p);
      }
    }
  }
  return { x: 0, y: 0, width, height: mask.height };
}

export function paintAll(mask, id) {
  mask.ids.fill(id);
  return { x: 0, y: 0, width: mask.width, height: mask.height };
}

export function objectsOf(ids) {
  const seen = new Uint8Array(256);
  for (const id of ids) seen[id] = 1;
  return [...seen.keys()].filter((id) => id && seen[id]);
}

function copyOut(ids, width, rectangle) {
  const part = new Uint8Array(rectangle.width * rectangle.height);
  for (let y = 0; y < rectangle.height; y++) {
    const start = (rectangle.y + y) * width + rectangle.x;
    part.set(ids.subarray(start, start + rectangle.width), y * rectangle.width);
  }
  return part;
}

function copyIn(mask, part, rectangle) {
  for (let y = 0; y < rectangle.height; y++) {
    const row = part.subarray(y * rectangle.width, (y + 1) * rectangle.width);
    mask.ids.set(row, (rectangle.y + y) * mask.width + rectangle.x);
  }
}

const MOST_BYTES = 64 * 2 ** 20;

// The edits of one frame. An edit keeps the pixels of its rectangle from before and after.
export class History {
  #done = [];
  #undone = [];
  #bytes = 0;
  lost = false; // the first edits were forgotten, so that undoing all does not lead back to the start

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  add(mask, before, rectangle) {
    const edit = {
      rectangle,
      before: copyOut(before, mask.width, rectangle),
      after: copyOut(mask.ids, mask.width, rectangle),
    };
    for (const each of this.#undone) this.#bytes -= 2 * each.before.length;
    this.#undone = [];
    this.#done.push(edit);
    this.#bytes += 2 * edit.before.length;
    while (this.#bytes > MOST_BYTES && this.#done.length > 1) {
      this.#bytes -= 2 * this.#done.shift().before.length;
      this.lost = true;
    }
  }

  undo(mask) {
    return this.#move(mask, this.#done, this.#undone, "before");
  }

  redo(mask) {
    return this.#move(mask, this.#undone, this.#done, "after");
  }

  #move(mask, from, to, side) {
    const edit = from.pop();
    if (!edit) return null;
    copyIn(mask, edit[side], edit.rectangle);
    to.push(edit);
    return edit.rectangle;
  }
}
