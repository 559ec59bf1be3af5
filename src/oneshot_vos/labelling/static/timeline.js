// The marks above the slider: where masks are.

const THUMB = 16; // CSS pixels: the slider's handle keeps its middle this far, halved, from both ends

export function drawMarks(canvas, frames) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const names = frames.video.frames;
  const place = (t) => THUMB / 2 + ((width - THUMB) * t) / Math.max(1, names.length - 1);
  const wide = Math.max(1.5, (width - THUMB) / names.length);
  context.fillStyle = style.getPropertyValue("--accent");
  names.forEach((name, t) => {
    if (frames.given.has(name)) {
      context.globalAlpha = 1;
      context.fillRect(place(t) - 2, 0, 4, 10);
    } else if (frames.made.has(name)) {
      context.globalAlpha = 0.4;
      context.fillRect(place(t) - wide / 2, 5, wide, 5);
    }
  });
  context.globalAlpha = 1;
  context.fillStyle = style.getPropertyValue("--hint");
  for (const name of frames.suggested) {
    const x = place(names.indexOf(name));
    context.beginPath();
    context.moveTo(x - 5, 0);
    context.lineTo(x + 5, 0);
    context.lineTo(x, 10);
    context.fill();
  }
}
