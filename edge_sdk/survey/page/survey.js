"use strict";
// The page of `edge-sdk survey`: shows the plan and what is heard, and records where one taps.

const SVG = "http://www.w3.org/2000/svg";
const POLL_MS = 500;
const $ = (id) => document.getElementById(id);

let frame = null; // what turns a place in the picture into one on the plan
let svg = null;
let marks = null; // the group of all that changes
let chosen = null; // {x_m, y_m}: where she tapped
let state = null;
let failures = 0;

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const toSheet = (p) => ({
  x: p.x_m - frame.left_m,
  y: frame.up ? frame.high_m - p.y_m : p.y_m - frame.low_m,
});
const toPlan = (x, y) => ({
  x_m: Math.round((x + frame.left_m) * 100) / 100,
  y_m: Math.round((frame.up ? frame.high_m - y : y + frame.low_m) * 100) / 100,
});

// So many pixels of the screen, in the picture's metres: marks are for fingers at any scale.
const metres = (pixels) => pixels / svg.getScreenCTM().a;

// Identifiers are long, and differ at their end.
function short(name) {
  if (name.length <= 28) return name;
  const scheme = name.slice(0, name.indexOf(":") + 1);
  return `${scheme}${name.slice(scheme.length, scheme.length + 4)}…${name.slice(-16)}`;
}

function zoneAt(place) {
  for (const zone of frame.zones) {
    let inside = false;
    let [x1, y1] = zone.corners[zone.corners.length - 1];
    for (const [x2, y2] of zone.corners) {
      if ((y1 > place.y_m) !== (y2 > place.y_m)
          && place.x_m < ((x1 - x2) * (place.y_m - y2)) / (y1 - y2) + x2) inside = !inside;
      [x1, y1] = [x2, y2];
    }
    if (inside) return zone.name;
  }
  return "outside of all zones";
}

const told = (place) => `${place.x_m.toFixed(1)} m, ${place.y_m.toFixed(1)} m, ${zoneAt(place)}`;

function circle(place, radius, className, more = {}) {
  const { x, y } = toSheet(place);
  const width = metres(2);
  return shape("circle", { cx: x, cy: y, r: radius, class: className, "stroke-width": width, ...more });
}

function drawMarks() {
  const size = metres(13);
  const drawn = [];
  const last = state.points.length - 1;
  state.points.forEach((point, at) => {
    drawn.push(circle(point, size * 0.34, at === last ? "point last" : "point"));
  });
  if (state.next && !state.recording) {
    drawn.push(circle(state.next, size * 1.1, "suggested", { "stroke-width": size / 4 }));
  }
  const here = state.recording || chosen;
  if (here) {
    drawn.push(circle(here, size * 0.8, "chosen", { "stroke-width": size / 5 }));
    drawn.push(circle(here, size * 0.25, "chosen-middle"));
  }
  if (state.recording) {
    const radius = size * 1.3;
    const round = 2 * Math.PI * radius;
    const done = 1 - state.recording.left_s / state.seconds;
    const { x, y } = toSheet(here);
    drawn.push(circle(here, radius, "left", {
      "stroke-width": size / 3,
      "stroke-dasharray": `${round * done} ${round}`,
      transform: `rotate(-90 ${x} ${y})`,
    }));
  }
  marks.replaceChildren(...drawn);
}

function drawBeacons() {
  const rows = state.beacons.map((beacon) => {
    const button = document.createElement("button");
    button.type = "button";
    const name = document.createElement("span");
    name.textContent = short(beacon.name);
    const level = document.createElement("b");
    level.textContent = `${beacon.rssi_dbm} dBm`;
    button.title = beacon.name;
    button.append(name, level);
    button.addEventListener("click", () => ask("/choose", { beacon: beacon.name }));
    return button;
  });
  if (!rows.length) {
    const none = document.createElement("p");
    none.textContent = "No beacon is heard yet.";
    rows.push(none);
  }
  $("beacons").replaceChildren(...rows);
}

function drawLive() {
  $("live").replaceChildren(...state.live.map((row) => {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = row.receiver;
    const level = document.createElement("span");
    const count = state.recording ? ` · ${row.recorded}` : "";
    level.textContent = row.rssi_dbm === null ? `silent${count}` : `${row.rssi_dbm} dBm${count}`;
    const meter = document.createElement("meter");
    meter.min = -100;
    meter.max = -40;
    meter.value = row.rssi_dbm === null ? -100 : row.rssi_dbm;
    if (row.rssi_dbm === null) item.className = "silent";
    item.append(name, level, meter);
    return item;
  }));
}

function draw() {
  const count = state.points.length;
  $("count").textContent = count === 1 ? "1 point" : `${count} points`;
  const share = Math.round(state.share * 100);
  $("share").textContent = `${share} % within 2 m`;
  // No style attribute stands in the page; a style that a script sets is not one.
  $("share-bar").style.width = `${share}%`;
  $("choosing").hidden = state.beacon !== null;
  $("doing").hidden = state.beacon === null;
  if (state.beacon === null) drawBeacons();
  const recording = state.recording;
  $("beacon").textContent = state.beacon === null ? "" : `of ${short(state.beacon)}`;
  if (!$("message").classList.contains("trouble")) $("message").textContent = state.message;
  $("record").hidden = Boolean(recording);
  $("cancel").hidden = !recording;
  $("undo").disabled = Boolean(recording) || count === 0;
  $("redo").hidden = !state.can_redo || Boolean(recording);
  $("there").disabled = Boolean(recording) || !state.next;
  $("other").disabled = Boolean(recording);
  $("record").disabled = !chosen;
  $("record").textContent = chosen ? `Record here (${Math.round(state.seconds)} s)` : "Tap where you are";
  if (recording) {
    $("cancel").textContent = `Stand still: ${Math.ceil(recording.left_s)} s · cancel`;
    $("where").textContent = `${told(recording)}: ${recording.readings} readings`;
  } else if (chosen) {
    $("where").textContent = told(chosen);
  } else if (state.next) {
    $("where").textContent = "The ring: where a point helps most.";
  } else {
    $("where").textContent = "All of the floor is within 2 m of a point.";
  }
  drawLive();
  drawMarks();
}

function trouble(text) {
  const message = $("message");
  message.textContent = text;
  message.classList.add("trouble");
  setTimeout(() => message.classList.remove("trouble"), 4000);
}

async function ask(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body || {}),
    });
    const said = await answer.json();
    if (!answer.ok) {
      trouble(said.error || "That did not work.");
      return false;
    }
    state = said;
    draw();
    return true;
  } catch {
    trouble("The survey does not answer; try again.");
    return false;
  }
}

async function poll() {
  try {
    const answer = await fetch("/state");
    if (!answer.ok) throw new Error(String(answer.status));
    const wasRecording = state && state.recording;
    state = await answer.json();
    failures = 0;
    if (wasRecording && !state.recording) {
      chosen = null;
      if (navigator.vibrate) navigator.vibrate(200);
    }
    draw();
  } catch {
    failures += 1;
  }
  $("lost").hidden = failures < 3;
  setTimeout(poll, POLL_MS);
}

function tapped(event) {
  if (!state || state.recording || state.beacon === null) return;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  chosen = toPlan(at.x, at.y);
  draw();
}

async function start() {
  const [said, drawing] = await Promise.all([fetch("/plan"), fetch("/plan.svg")]);
  frame = await said.json();
  const parsed = new DOMParser().parseFromString(await drawing.text(), "image/svg+xml");
  svg = document.importNode(parsed.documentElement, true);
  svg.setAttribute("preserveAspectRatio", "xMidYMid meet");
  marks = shape("g", {});
  svg.append(marks);
  $("floor").replaceChildren(svg);
  $("store").textContent = frame.several_floors ? `${frame.name}, ${frame.floor}` : frame.name;
  svg.addEventListener("click", tapped);
  $("record").addEventListener("click", () => chosen && ask("/record", chosen));
  $("cancel").addEventListener("click", () => ask("/cancel"));
  $("undo").addEventListener("click", () => ask("/undo"));
  $("redo").addEventListener("click", () => ask("/redo"));
  $("other").addEventListener("click", () => ask("/choose", { beacon: null }));
  $("there").addEventListener("click", () => { chosen = state.next; draw(); });
  poll();
}

start();
