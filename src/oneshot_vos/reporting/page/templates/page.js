// Charts, and sliders through frames. What they show stands in data.js: window.report = {charts, films}.
"use strict";

const { charts, films } = window.report;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const followers = {}; // by the name of a film: what else shows its frame

function ink() {
  const style = getComputedStyle(document.documentElement);
  return { text: style.getPropertyValue("--ink").trim(), line: style.getPropertyValue("--line").trim() };
}

// Charts are written with black where the colour of the text is meant.
function coloured(trace, text) {
  const swap = (colour) => (colour === "black" ? text : colour);
  const copy = { ...trace };
  if (trace.line) copy.line = { ...trace.line, color: swap(trace.line.color) };
  if (trace.marker) copy.marker = { ...trace.marker, color: swap(trace.marker.color) };
  if (trace.fillcolor) copy.fillcolor = swap(trace.fillcolor);
  return copy;
}

function layoutFor(box, chart) {
  const { text, line } = ink();
  const width = box.clientWidth || 320;
  const narrow = width < 520;
  const named = chart.data.filter((trace) => trace.showlegend !== false);
  const longest = Math.max(...named.map((trace) => trace.name.length), 1);
  const perRow = Math.max(1, Math.floor((width - 60) / (45 + 7 * longest)));
  const rows = Math.ceil(named.length / perRow);
  const axis = (given) => ({ ...given, gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line });
  return {
    ...chart.layout,
    height: 310 + 20 * rows,
    margin: { l: narrow ? 44 : 60, r: 12, t: 12, b: 70 + 20 * rows },
    font: { color: text, size: narrow ? 11 : 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: dark.matches ? "#191f26" : "#ffffff", font: { color: text } },
    legend: { orientation: "h", x: 0, y: -60 / 240, yanchor: "top", bgcolor: "rgba(0,0,0,0)" },
    xaxis: axis(chart.layout.xaxis),
    yaxis: axis(chart.layout.yaxis),
  };
}

const waiting = new Set(document.querySelectorAll(".chart"));

function draw(box) {
  waiting.delete(box);
  const chart = charts[box.dataset.chart];
  const data = chart.data.map((trace) => coloured(trace, ink().text));
  Plotly.react(box, data, layoutFor(box, chart), { responsive: true, displayModeBar: false });
  if (!box.dataset.drawn && films[box.dataset.chart]) {
    box.on("plotly_click", (event) => followers[box.dataset.chart]?.(String(event.points[0].x)));
  }
  box.dataset.drawn = "yes";
}

// Fifty videos: a chart is drawn when it comes near.
const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && waiting.has(entry.target)) draw(entry.target);
    }
  },
  { rootMargin: "400px" },
);
waiting.forEach((box) => near.observe(box));

function redraw() {
  document.querySelectorAll(".chart[data-drawn]").forEach(draw);
}
dark.addEventListener("change", redraw);
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== width) redraw();
  width = window.innerWidth;
});
window.addEventListener("beforeprint", () => {
  [...waiting].forEach(draw);
  document.querySelectorAll("details").forEach((part) => (part.open = true));
});

// A line in the chart of a video at the frame that is shown.
function mark(name, index) {
  const box = document.querySelector(`.chart[data-chart="${name}"][data-drawn]`);
  if (!box) return;
  const line = { type: "line", xref: "x", yref: "paper", x0: index, x1: index, y0: 0, y1: 1 };
  Plotly.relayout(box, { shapes: [{ ...line, line: { color: ink().text, width: 1, dash: "dot" } }] });
}

function setUp(box) {
  const film = films[box.dataset.film];
  const slider = box.querySelector("input[type=range]");
  const output = box.querySelector("output");
  const video = box.querySelector("video");
  const images = [...box.querySelectorAll("img")];
  const notes = [...box.querySelectorAll("[data-notes]")];

  function tell(index) {
    const frame = film.names[index];
    output.textContent = frame;
    slider.setAttribute("aria-valuetext", `frame ${frame}`);
    notes.forEach((note, column) => (note.textContent = film.notes[column][index]));
    mark(box.dataset.film, index);
  }

  function show(index) {
    tell(index);
    images.forEach((image, column) => {
      image.src = film.columns[column][index];
      image.alt = `${image.dataset.alt} ${film.names[index]}`;
    });
    if (!video) return;
    const seek = () => {
      video.pause();
      video.currentTime = (index + 0.5) / film.rate;
    };
    if (video.readyState) return seek();
    video.addEventListener("loadedmetadata", () => show(Number(slider.value)), { once: true });
    video.preload = "auto";
  }

  function follow() {
    const index = Math.min(film.names.length - 1, Math.floor(video.currentTime * film.rate));
    if (index === Number(slider.value)) return;
    slider.value = index;
    tell(index);
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  if (video) video.addEventListener("timeupdate", () => !video.paused && follow());
  followers[box.dataset.film] = (frame) => {
    const index = film.names.indexOf(frame);
    if (index < 0) return;
    slider.value = index;
    show(index);
  };
}
document.querySelectorAll(".film[data-film]").forEach(setUp);

document.querySelectorAll("button[data-goto]").forEach((button) => {
  button.addEventListener("click", () => {
    followers[button.dataset.goto]?.(button.dataset.frame);
    document.querySelector(`[data-film="${button.dataset.goto}"] input`)?.focus();
  });
});
