// The frame with its mask, zoomed and moved; knows nothing of tools.

const LARGEST_ZOOM = 40; // screen pixels per pixel
const DIMMED = 0.55; // of what a network made

export class View {
  #picture = null;
  #mask = null;
  #overlay = document.createElement("canvas"); // of the mask's size
  #asked = false;
  #fitted = true;
  scale = 1; // CSS pixels per pixel of the mask
  x = 0; // of the frame's left upper corner, in CSS pixels
  y = 0;
  opacity = 0.5;
  dimmed = false;
  points = []; // of a polygon that is being drawn
  pointer = null; // { x, y, radius } in pixels of the mask, or null
  colour = "#fff";

  constructor(canvas, colourOf) {
    this.canvas = canvas;
    this.colourOf = colourOf; // id to [red, green, blue]
    new ResizeObserver(() => (this.#fitted ? this.fit() : this.redraw())).observe(canvas);
  }

  show(picture, mask) {
    const resized = !this.#mask || mask.width !== this.#mask.width || mask.height !== this.#mask.height;
    this.#picture = picture;
    this.#mask = mask;
    if (resized) {
      this.#overlay.width = mask.width;
      this.#overlay.height = mask.height;
      this.fit();
    }
    this.recolour();
  }

  fit() {
    if (!this.#mask) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.scale = Math.min(width / this.#mask.width, height / this.#mask.height);
    this.x = (width - this.scale * this.#mask.width) / 2;
    this.y = (height - this.scale * this.#mask.height) / 2;
    this.#fitted = true;
    this.redraw();
  }

  // Zoom about a place of the canvas, in CSS pixels; by default its middle.
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const scale = Math.min(LARGEST_ZOOM, Math.max(0.02, this.scale * factor));
    this.move(((x - this.x) * (this.scale - scale)) / this.scale, ((y - this.y) * (this.scale - scale)) / this.scale);
    this.scale = scale;
  }

  move(dx, dy) {
    this.#fitted = false;
    this.x += dx;
    this.y += dy;
    this.redraw();
  }

  // From a place of the canvas in CSS pixels to pixels of the mask.
  toMask(x, y) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  // Colour the overlay anew where the mask has changed: objects are translucent, their outlines are not.
  recolour(rectangle = { x: 0, y: 0, width: this.#mask.width, height: this.#mask.height }) {
    const { ids, width, height } = this.#mask;
    const left = Math.max(0, rectangle.x - 1);
    const top = Math.max(0, rectangle.y - 1);
    const right = Math.min(width, rectangle.x + rectangle.width + 1);
    const bottom = Math.min(height, rectangle.y + rectangle.height + 1);
    const image = new ImageData(right - left, bottom - top);
    const colours = Array.from({ length: 256 }, (_, id) => this.colourOf(id));
    const alpha = Math.round(this.opacity * 255);
    let at = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left, p = y * width + left; x < right; x++, p++, at += 4) {
        const id = ids[p];
        if (!id) continue;
        const edge =
          (x > 0 && ids[p - 1] !== id) ||
          (x < width - 1 && ids[p + 1] !== id) ||
          (y > 0 && ids[p - width] !== id) ||
          (y < height - 1 && ids[p + width] !== id);
        image.data.set(colours[id], at);
        image.data[at + 3] = edge && alpha ? 255 : alpha;
      }
    }
    this.#overlay.getContext("2d").putImageData(image, left, top);
    this.redraw();
  }

  redraw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #draw() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (!this.#mask) return;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    const { width, height } = this.#mask;
    context.imageSmoothingEnabled = this.scale < 3;
    context.imageSmoothingQuality = "high";
    if (this.#picture) context.drawImage(this.#picture, 0, 0, width, height);
    context.imageSmoothingEnabled = this.scale < 1;
    context.globalAlpha = this.dimmed ? DIMMED : 1;
    context.drawImage(this.#overlay, 0, 0);
    context.globalAlpha = 1;
    this.#drawPolygon(context);
    this.#drawPointer(context);
    this.canvas.dataset.view = [this.scale, this.x, this.y].join(" ");
  }

  #drawPolygon(context) {
    if (!this.points.length) return;
    const unit = 1 / this.scale; // one CSS pixel
    context.beginPath();
    this.points.forEach((point) => context.lineTo(point.x, point.y));
    if (this.pointer) context.lineTo(this.pointer.x, this.pointer.y);
    this.#stroke(context, 2 * unit);
    for (const point of this.points) {
      context.beginPath();
      context.arc(point.x, point.y, 4 * unit, 0, 2 * Math.PI);
      context.fillStyle = this.colour;
      context.fill();
      this.#stroke(context, unit);
    }
  }

  #drawPointer(context) {
    if (!this.pointer?.radius) return;
    context.beginPath();
    context.arc(this.pointer.x, this.pointer.y, this.pointer.radius, 0, 2 * Math.PI);
    this.#stroke(context, 1.5 / this.scale);
  }

  // A line that shows on any ground.
  #stroke(context, width) {
    for (const [colour, factor] of [["#000a", 2], [this.colour, 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * factor;
      context.stroke();
    }
  }
}
