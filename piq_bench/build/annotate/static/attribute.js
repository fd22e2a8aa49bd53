"use strict";
// The page of one attribute: several portraits, one of them chosen, and a key or click for its label.
const whole = byId("whole");
let view = null;
let at = 0;
let picked = new Set();
const answered = new Map(); // from a row on the screen to what was said

async function load(verb, content) {
  try {
    show(await send(verb, { task: body.task, view: true, ...content }));
  } catch (error) {
    // The message says why.
  }
}

function show(next) {
  view = next;
  at = 0;
  picked = new Set();
  answered.clear();
  byId("screen").replaceChildren(...next.portraits.map(card));
  byId("finished").hidden = next.portraits.length > 0;
  byId("controls").hidden = false;
  mark();
}

function card(portrait, place) {
  const made = element("button", "card");
  made.type = "button";
  made.title = portrait.image;
  made.append(picture(portrait.row), element("bdi", "soft", "\u00a0"));
  made.addEventListener("click", () => choose(place));
  return made;
}

const current = () => view && view.portraits[at];

function choose(place) {
  at = place;
  const said = answered.get(current().row);
  picked = new Set(said && view.multi_label ? said.split("|").filter(label => view.labels.includes(label)) : []);
  mark();
}

function mark() {
  const left = view.portraits.filter(one => !answered.has(one.row)).length;
  byId("progress").textContent = view.waiting - (view.portraits.length - left) + " of " + view.images + " wait for you";
  [...byId("screen").children].forEach((made, place) => {
    const said = answered.get(view.portraits[place].row);
    made.classList.toggle("chosen", place === at);
    made.classList.toggle("saved", said !== undefined);
    made.lastChild.textContent = said === undefined ? "\u00a0" : ({ "|?": "cannot tell", "|x": "not a person", "-": "none" })[said] || said.replaceAll("|", ", ");
  });
  const one = current();
  byId("buttons").replaceChildren(
    ...(one ? view.labels.map((label, place) => labelButton(label, place)) : []),
    ...(one && view.multi_label ? [button("Enter", picked.size ? "save" : "none of them", save)] : []),
    ...(one ? [button("c", "cannot tell", () => answer("|?")), button("x", "not a person", () => answer("|x")), button("s", "later", later)] : []),
    button("u", "undo", undo),
  );
  byId("whole").closest("p").hidden = !one;
  if (one) showTrack(one, whole);
  else byId("track").replaceChildren();
  if (one) showChosen();
}

// The controls stick to the lower edge of the window, and must not hide the portrait that they are for.
function showChosen() {
  const chosen = byId("screen").children[at];
  chosen.style.scrollMarginBottom = byId("controls").offsetHeight + 12 + "px";
  chosen.scrollIntoView({ block: "nearest" });
}

function labelButton(label, place) {
  const made = button(place < 9 ? String(place + 1) : "", label, () => press(place));
  if (view.multi_label) made.setAttribute("aria-pressed", String(picked.has(label)));
  return made;
}

function press(place) {
  const label = view.labels[place];
  if (!view.multi_label) return answer(label);
  if (!picked.delete(label)) picked.add(label);
  mark();
}

const save = () => answer(view.labels.filter(label => picked.has(label)).join("|") || "-");

function answer(value) {
  const one = current();
  if (!one) return;
  const rows = whole.checked ? view.portraits.filter(other => other.track.includes(one.row)).map(other => other.row) : [one.row];
  const before = new Map(rows.map(row => [row, answered.get(row)]));
  const shown = view;
  rows.forEach(row => answered.set(row, value));
  send("answer", { task: body.task, rows: [one.row], value, whole_track: whole.checked }).catch(() => {
    if (view !== shown) return;
    before.forEach((said, row) => said === undefined ? answered.delete(row) : answered.set(row, said));
    mark();
  });
  const next = view.portraits.findIndex((other, place) => place > at && !answered.has(other.row));
  const first = next >= 0 ? next : view.portraits.findIndex(other => !answered.has(other.row));
  if (first >= 0) choose(first);
  else { mark(); load("next", {}); }
}

const later = () => load("pass", { rows: [current().row] });
const undo = () => load("undo", {});

whole.addEventListener("change", () => { if (current()) showTrack(current(), whole); });

addEventListener("keydown", event => {
  if (typing(event) || event.repeat || !view) return;
  const key = event.key.toLowerCase();
  const number = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
  const across = getComputedStyle(byId("screen")).gridTemplateColumns.split(" ").length;
  const step = { arrowleft: -1, arrowright: 1, arrowup: -across, arrowdown: across }[key];
  if (key === "u") undo();
  else if (!current()) return;
  else if (step && view.portraits[at + step]) choose(at + step);
  else if (number >= 0 && number < view.labels.length) press(number);
  else if (key === "enter" && view.multi_label) save();
  else if (key === "c") answer("|?");
  else if (key === "x") answer("|x");
  else if (key === "s") later();
  else if (key === "t") { whole.checked = !whole.checked; showTrack(current(), whole); }
  else return;
  event.preventDefault();
});

load("next", {});
