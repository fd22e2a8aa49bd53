"use strict";
// The identity page: one portrait, everybody known in its film, and one click to say who it is.
const labels = JSON.parse(body.labels);
const whole = byId("whole");
let view = null;
let busy = false;
let naming = false;

async function act(verb, content) {
  if (busy) return;
  busy = true;
  try {
    show(await send(verb, { task: body.task, view: true, ...content }));
  } catch (error) {
    // The message says why; the portrait stays.
  } finally {
    busy = false;
  }
}

const answer = content => { if (view && view.row !== null) act("answer", { rows: [view.row], whole_track: whole.checked, ...content }); };

function show(next) {
  view = next;
  naming = false;
  byId("progress").textContent = next.waiting + " of " + next.images + " wait for you";
  byId("current").hidden = next.row === null;
  byId("finished").hidden = next.row !== null;
  byId("known").textContent = next.row === null ? "" : "Known people of " + (next.film ? "film " + next.film : "this film") + ", the most alike first";
  if (next.row !== null) byId("portrait").src = "/image/" + next.row;
  (next.ahead || []).forEach(row => { new Image().src = "/image/" + row; });
  showPeople(next.row === null ? [] : next.people);
  if (next.row === null) return;
  byId("image").textContent = next.image;
  byId("film").textContent = next.film;
  showTrack(next, whole);
  showButtons();
}

const FIRST = 48; // people drawn at once; the others follow when the portrait is there
let others = 0;

function showPeople(people) {
  clearTimeout(others);
  const box = byId("people");
  box.replaceChildren(...people.slice(0, FIRST).map(card));
  box.scrollTop = 0;
  others = setTimeout(() => box.append(...people.slice(FIRST).map((person, place) => card(person, FIRST + place))), 150);
}

const cards = new Map(); // by person; most stay the same from one portrait to the next

function card(person, place) {
  let made = cards.get(person.person);
  if (!made) {
    made = element("button", "card");
    made.type = "button";
    made.append(element("kbd"), picture(person.row), element("bdi"), element("br"), element("span", "soft"));
    made.addEventListener("click", () => answer({ value: "p" + person.person }));
    cards.set(person.person, made);
  }
  const [key, image, name, , label] = made.children;
  const address = "/image/" + person.row;
  const number = place < 9 ? String(place + 1) : "";
  key.hidden = place >= 9;
  if (key.textContent !== number) key.textContent = number;
  if (image.getAttribute("src") !== address) image.src = address;
  if (name.textContent !== person.name) name.textContent = person.name;
  if (label.textContent !== person.label) label.textContent = person.label;
  return made;
}

function showButtons() {
  const fresh = labels.length
    ? labels.map((label, place) => button(naming ? String(place + 1) : "n " + (place + 1), "new person, " + label, () => answer({ new_person: label })))
    : [button("n", "new person", () => answer({ new_person: "" }))];
  byId("buttons").replaceChildren(
    ...fresh,
    button("c", "cannot tell", () => answer({ value: "|?" })),
    button("x", "not a person", () => answer({ value: "|x" })),
    button("u", "undo", () => act("undo", {})),
    button("s", "later", () => act("pass", { rows: [view.row] })),
  );
  if (naming) tell("New person: press the number of a label, or Esc.", true);
}

whole.addEventListener("change", () => { if (view && view.row !== null) showTrack(view, whole); });

addEventListener("keydown", event => {
  if (typing(event) || event.repeat || !view) return;
  const key = event.key.toLowerCase();
  const number = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
  if (key === "u") act("undo", {});
  else if (view.row === null) return;
  else if (naming && number >= 0 && number < labels.length) answer({ new_person: labels[number] });
  else if (naming && key === "escape") { naming = false; tell(""); showButtons(); }
  else if (!naming && number >= 0 && number < view.people.length) answer({ value: "p" + view.people[number].person });
  else if (key === "n") { if (labels.length) { naming = true; showButtons(); } else answer({ new_person: "" }); }
  else if (key === "c") answer({ value: "|?" });
  else if (key === "x") answer({ value: "|x" });
  else if (key === "s") act("pass", { rows: [view.row] });
  else if (key === "t") { whole.checked = !whole.checked; showTrack(view, whole); }
  else return;
  event.preventDefault();
});

act("next", {});
