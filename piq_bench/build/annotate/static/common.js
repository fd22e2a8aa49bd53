"use strict";
// Sends clicks one after the other. A click that gets no answer is sent again under the same name until it is saved.
const body = document.body.dataset;
const byId = id => document.getElementById(id);
let queue = Promise.resolve();
let waitingClicks = 0;

function tell(text, good) {
  const line = byId("message");
  line.textContent = text;
  line.classList.toggle("good", Boolean(good));
  line.hidden = !text;
}

function send(verb, content) {
  const click = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const text = JSON.stringify({ name: body.name, click, ...content });
  waitingClicks += 1;
  const sent = queue.then(() => attempt(verb, text)).finally(() => { waitingClicks -= 1; });
  queue = sent.catch(() => {});
  return sent;
}

async function attempt(verb, text) {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      const response = await fetch("/do/" + verb, { method: "POST", headers: { "Content-Type": "application/json" }, body: text });
      if (response.status < 500) {
        const answer = await response.json();
        if (!response.ok) throw new RangeError(answer.refused || "The server refused this.");
        tell(answer.done || "", true);
        return answer;
      }
    } catch (error) {
      if (error instanceof RangeError) { tell(error.message); throw error; }
    }
    tell("Not saved yet: the server does not answer. Trying again ...");
    await new Promise(done => setTimeout(done, wait));
  }
}

addEventListener("beforeunload", event => { if (waitingClicks) event.preventDefault(); });

function element(kind, className, text) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function picture(row) {
  const made = element("img");
  made.alt = "";
  made.loading = "lazy";
  made.fetchPriority = "low"; // after clicks and the current portrait
  made.decoding = "async";
  made.src = "/image/" + row;
  return made;
}

function button(key, text, press) {
  const made = element("button");
  made.type = "button";
  if (key) made.append(element("kbd", "", key), " ");
  made.append(element("bdi", "", text));
  made.addEventListener("click", press);
  return made;
}

function showTrack(one, whole) {
  const strip = byId("track");
  const label = whole.closest("label");
  label.hidden = one.track_size < 2;
  byId("whole-text").textContent = whole.checked
    ? "A click labels all " + one.track_size + " images of " + (one.track_name || "the track")
    : "A click labels this image alone; the " + one.track_size + " images of " + (one.track_name || "the track") + ":";
  if (strip.dataset.rows !== one.track.join()) {
    strip.dataset.rows = one.track.join();
    strip.replaceChildren(...(one.track_size < 2 ? [] : one.track.map(picture)));
  }
  [...strip.children].forEach((image, place) => image.classList.toggle("taken", whole.checked || one.track[place] === one.row));
}

function typing(event) {
  return event.ctrlKey || event.altKey || event.metaKey || /^(TEXTAREA|SELECT)$/.test(event.target.tagName)
    || (event.target.tagName === "INPUT" && event.target.type !== "checkbox");
}
