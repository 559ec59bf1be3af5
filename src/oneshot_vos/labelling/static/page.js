// Ties the parts together: videos and frames, tools and objects, saving, the network.

import { Editor } from "./editor.js";
import { Frames } from "./frames.js";
import { objectsOf, paintAll } from "./mask.js";
import { cancelPropagation, listVideos, openVideo, propagationStatus, startPropagation } from "./server.js";
import { drawMarks } from "./timeline.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const PAUSE = 1500; // milliseconds without an edit, after which masks are saved
const POLL = 400; // milliseconds
const LARGEST_ID = 254;
const $ = (id) => document.getElementById(id);

let colours = [[255, 255, 255]];
let frames = null; // of the video that is open
let wanted = 0; // the frame to be shown
let loading = false;
let objects = [1];
let timer = 0;
let running = false; // the network is at work on this video

const colourOf = (id) => colours[(id - 1) % colours.length] ?? [0, 0, 0];
const view = new View($("view"), colourOf);
const editor = new Editor(view, edited);
const tools = new Tools(view, editor, (points) => ($("polygon-bar").hidden = points === 0));

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

// Run what may fail, and say what went wrong.
async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    say(error.message, true);
    return undefined;
  }
}

// --- videos and frames

async function start() {
  const listed = await listVideos();
  colours = listed.colours;
  document.title = `Draw masks: ${listed.path}`;
  $("command").textContent = listed.command;
  for (const { name, masks } of listed.videos) {
    $("video").add(new Option("", name));
    count(name, masks);
  }
  const first = listed.videos.find(({ masks }) => masks === 0) ?? listed.videos[0];
  $("video").value = first.name;
  await open(first.name);
}

// Say how many masks a video has, and how many videos have none.
function count(name, masks) {
  const options = [...$("video").options];
  const option = options.find(({ value }) => value === name);
  option.dataset.masks = masks;
  option.text = masks ? `${name} (${masks} mask${masks > 1 ? "s" : ""})` : name;
  const bare = options.filter(({ dataset }) => dataset.masks === "0").length;
  $("missing").textContent = bare ? `, once ${bare} more video${bare > 1 ? "s have" : " has"} a mask` : "";
}

async function open(name) {
  if (frames) {
    await save();
    if (frames.unsaved) {
      $("video").value = frames.video.name;
      return;
    }
  }
  say(`Opening ${name} …`);
  frames = null;
  editor.forget();
  tools.dropPolygon();
  const opened = await attempt(() => openVideo(name));
  if (!opened || $("video").value !== name) return;
  frames = new Frames(opened);
  objects = opened.objects.length ? opened.objects : [1];
  running = false;
  $("work").hidden = true;
  $("frame").max = opened.frames.length - 1;
  $("where").textContent = `${opened.width} × ${opened.height}, masks in ${opened.folder}`;
  const shorter = Math.min(opened.width, opened.height);
  $("size").max = Math.ceil(shorter / 2);
  chooseSize(shorter / 16);
  chooseObject(objects[0]);
  say(
    opened.aside
      ? `These masks are in another form: the first save moves them to ${opened.aside}, and writes them as plain masks.`
      : opened.given.length
        ? ""
        : "Draw every object on one frame that shows them all, then press Propagate.",
  );
  await goTo(Math.max(0, opened.frames.indexOf(opened.given[0])));
  view.fit();
  const status = await attempt(() => propagationStatus(name, 0));
  if (status?.video === name && status.state === "running") follow();
}

async function goTo(t) {
  if (!frames) return;
  wanted = Math.min(Math.max(0, t), frames.video.frames.length - 1);
  $("frame").value = wanted;
  $("frame-name").textContent = frames.name(wanted);
  if (loading || wanted === editor.frame) return;
  editor.finish();
  tools.dropPolygon();
  save();
  editor.leave();
  loading = true;
  await attempt(async () => {
    for (let of, target; of !== frames || target !== wanted; ) {
      [of, target] = [frames, wanted];
      if (of) await show(target);
    }
  });
  loading = false;
}

async function show(t) {
  const of = frames;
  const edits = editor.edits;
  const [picture, { kind, mask }] = await Promise.all([of.picture(t), of.mask(t)]);
  if (of !== frames || t !== wanted || edits !== editor.edits) return; // what was drawn meanwhile counts
  editor.show(t, picture, mask, kind);
  addObjects(objectsOf(mask.ids));
  if (of.why(t) && kind !== "given") say(`A mask is suggested here: ${of.why(t)}`);
  refresh();
  for (const near of [t + 1, t - 1]) if (of.name(near)) of.picture(near).catch(() => {});
}

function goToSuggested() {
  const names = frames?.suggested ?? [];
  const next = names[(names.indexOf(frames.name(wanted)) + 1) % names.length];
  if (next) goTo(frames.video.frames.indexOf(next));
}

function refresh() {
  if (!frames) return;
  $("undo").disabled = !editor.canUndo;
  $("redo").disabled = !editor.canRedo;
  $("keep").disabled = editor.kind !== "made";
  $("propagate").textContent = running ? "Cancel" : "Propagate";
  $("suggested").hidden = !frames.suggested.length;
  $("next").hidden = !frames.given.size;
  view.canvas.dataset.kind = editor.kind;
  view.canvas.dataset.frame = frames.name(editor.frame) ?? "";
  drawMarks($("marks"), frames);
}

// --- saving

function edited() {
  frames.draft(editor.frame, editor.kind === "given" ? editor.mask.ids.slice() : new Uint8Array(editor.mask.ids.length));
  refresh();
  clearTimeout(timer);
  timer = setTimeout(save, PAUSE);
}

async function save() {
  clearTimeout(timer);
  if (!frames) return;
  const of = frames;
  const saved = await attempt(() => of.save());
  if (!saved?.length || of !== frames) return;
  const [name, path] = saved.at(-1);
  const others = saved.length > 1 ? `, and ${saved.length - 1} more` : "";
  say(path ? `Frame ${name} is saved in ${path}${others}` : `Frame ${name} has no object, and no mask any more${others}`);
  count(of.video.name, of.given.size);
}

// --- the network

async function propagate() {
  const of = frames;
  if (!of) return;
  if (running) {
    await attempt(() => cancelPropagation(of.video.name));
    return;
  }
  editor.finish();
  await save();
  if (of.unsaved || of !== frames) return;
  if (await attempt(() => startPropagation(of.video.name))) follow();
}

async function follow() {
  const of = frames;
  running = true;
  let known = 0;
  $("work").hidden = false;
  for (let state = "running"; state === "running" && of === frames; ) {
    const status = await attempt(() => propagationStatus(of.video.name, known));
    if (of !== frames) return;
    state = status?.state ?? "failed";
    if (status) {
      known = status.done;
      await arrived(status);
    }
    if (state === "running") await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  if (of !== frames) return;
  running = false;
  $("work").hidden = true;
  refresh();
}

async function arrived(status) {
  const { done, total, seconds_left: left } = status;
  status.frames.forEach((name) => frames.made.add(name));
  $("progress").value = done / total;
  $("progress-text").textContent = `${done} of ${total} frames${left === null ? "" : `, about ${duration(left)} left`}`;
  const current = frames.name(editor.frame);
  if (status.frames.includes(current) && editor.kind !== "given" && !loading) {
    await attempt(() => show(editor.frame));
  }
  if (status.state === "done") say("All frames have a mask. Draw where one is wrong, and propagate again.");
  if (status.state === "cancelled") say(`Cancelled after ${done} of ${total} frames.`);
  if (status.state === "failed") say(status.message, true);
  refresh();
}

const duration = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

// --- tools and objects

function chooseTool(tool) {
  if (tool !== "polygon") tools.dropPolygon();
  tools.tool = view.canvas.dataset.tool = tool;
  for (const button of document.querySelectorAll("[data-tool][role=radio]")) {
    button.setAttribute("aria-checked", String(button.dataset.tool === tool));
  }
}

function chooseSize(pixels) {
  const size = Math.min(Number($("size").max), Math.max(1, Math.round(pixels)));
  $("size").value = size;
  $("size-shown").textContent = size;
  tools.radius = size / 2;
  if (view.pointer?.radius) view.pointer.radius = tools.radius;
  view.redraw();
}

function chooseObject(id) {
  tools.id = id;
  addObjects([id]);
  view.colour = `rgb(${colourOf(id)})`;
  for (const button of $("objects").querySelectorAll("[data-object]")) {
    button.setAttribute("aria-checked", String(Number(button.dataset.object) === id));
  }
}

function addObjects(found) {
  const before = [...$("objects").querySelectorAll("[data-object]")].map((button) => Number(button.dataset.object));
  objects = [...new Set([...objects, ...found])].sort((a, b) => a - b);
  if (String(before) === String(objects)) return;
  const buttons = objects.map((id) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: id, title: id < 10 ? `Object ${id}: key ${id}` : `Object ${id}` });
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(id === tools.id));
    button.dataset.object = id;
    button.style.setProperty("--colour", `rgb(${colourOf(id)})`);
    button.addEventListener("click", () => chooseObject(id));
    return button;
  });
  const add = Object.assign(document.createElement("button"), { type: "button", textContent: "+ object", title: "N" });
  add.id = "add-object";
  add.addEventListener("click", newObject);
  $("objects").replaceChildren(...buttons, add);
}

function newObject() {
  const id = Math.max(...objects) + 1;
  if (id > LARGEST_ID) say(`There can be ${LARGEST_ID} objects at most.`, true);
  else chooseObject(id);
}

// --- keys and buttons

const KEYS = {
  b: () => chooseTool("brush"),
  p: () => chooseTool("polygon"),
  e: () => chooseTool("eraser"),
  f: () => chooseTool("fill"),
  m: () => chooseTool("move"),
  n: newObject,
  g: goToSuggested,
  k: () => editor.keep(),
  "[": () => chooseSize(tools.radius * 2 * 0.8 - 1),
  "]": () => chooseSize(tools.radius * 2 * 1.25 + 1),
  "+": () => view.zoom(1.25),
  "=": () => view.zoom(1.25),
  "-": () => view.zoom(0.8),
  0: () => view.fit(),
  "?": () => $("help-text").showModal(),
  enter: () => tools.closePolygon(),
  backspace: () => tools.dropPoint(),
  escape: () => tools.dropPolygon(),
  arrowleft: (event) => goTo(wanted - (event.shiftKey ? 10 : 1)),
  arrowright: (event) => goTo(wanted + (event.shiftKey ? 10 : 1)),
  home: () => goTo(0),
  end: () => goTo(Infinity),
  " ": () => (tools.panning = true),
};
const WITH_CONTROL = {
  z: (event) => (event.shiftKey ? editor.redo() : editor.undo()),
  y: () => editor.redo(),
  s: () => save(),
};

function pressed(event) {
  if ($("help-text").open || event.altKey || event.target.closest("select")) return;
  const key = event.key.toLowerCase();
  const onControl = event.target.closest("button, input");
  if (onControl && (key === "enter" || key === " ")) return; // they press the button
  const table = event.ctrlKey || event.metaKey ? WITH_CONTROL : KEYS;
  const number = table === KEYS && /^[1-9]$/.test(key) && Number(key);
  const sliding = event.target.type === "range" && event.target.id !== "frame" && /^(arrow|home|end)/.test(key);
  if (sliding || !(table[key] || number)) return;
  event.preventDefault();
  if (number) chooseObject(number);
  else table[key](event);
}

function connect() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("keyup", (event) => event.key === " " && (tools.panning = false));
  for (const button of document.querySelectorAll("[data-tool][role=radio]")) {
    button.addEventListener("click", () => chooseTool(button.dataset.tool));
  }
  const clicks = {
    save,
    propagate,
    undo: () => editor.undo(),
    redo: () => editor.redo(),
    keep: () => editor.keep(),
    clear: () => editor.edit((mask) => paintAll(mask, 0)),
    larger: () => view.zoom(1.25),
    smaller: () => view.zoom(0.8),
    fit: () => view.fit(),
    before: () => goTo(wanted - 1),
    after: () => goTo(wanted + 1),
    suggested: goToSuggested,
    help: () => $("help-text").showModal(),
    "polygon-close": () => tools.closePolygon(),
    "polygon-back": () => tools.dropPoint(),
    "polygon-drop": () => tools.dropPolygon(),
    copy: () => attempt(() => navigator.clipboard.writeText($("command").textContent)),
  };
  for (const [id, action] of Object.entries(clicks)) $(id).addEventListener("click", action);
  $("video").addEventListener("change", (event) => open(event.target.value));
  $("frame").addEventListener("input", (event) => goTo(Number(event.target.value)));
  $("size").addEventListener("input", (event) => chooseSize(Number(event.target.value)));
  $("opacity").addEventListener("input", (event) => {
    view.opacity = Number(event.target.value) / 100;
    if (editor.frame >= 0) view.recolour();
  });
  new ResizeObserver(() => frames && drawMarks($("marks"), frames)).observe($("marks"));
  document.addEventListener("visibilitychange", () => document.hidden && frames?.unsaved && save());
  window.addEventListener("beforeunload", (event) => frames?.unsaved && event.preventDefault());
}

connect();
chooseTool("brush");
attempt(start);
