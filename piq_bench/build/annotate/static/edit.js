"use strict";
// The pages that settle conflicts, and merge, split and rename people.
const nameField = document.querySelector("input[name=name]");
const chosen = name => [...document.querySelectorAll("input[name=" + name + "]:checked")].map(box => Number(box.value));
document.querySelectorAll("form[data-keep-name], #rename, #label").forEach(form => form.addEventListener("submit", event => event.preventDefault()));

async function edit(verb, content, then) {
  body.name = nameField.value.trim();
  if (!body.name) { tell("Enter your name first."); nameField.focus(); return; }
  try {
    await send(verb, content);
    then();
  } catch (error) {
    // The message says why.
  }
}

document.querySelectorAll(".conflict").forEach(box => box.querySelectorAll("button").forEach(press => press.addEventListener("click", () =>
  edit("settle", { task: box.dataset.task, rows: [Number(box.dataset.row)], value: press.dataset.value }, () => box.classList.add("settled")))));

function on(id, event, action) {
  const found = byId(id);
  if (found) found.addEventListener(event, action);
}
const again = () => {
  const address = new URL(location.href);
  address.searchParams.set("name", body.name);
  location.replace(address);
};
const field = id => byId(id).elements.to.value;
const person = () => [Number(body.person)];
on("merge", "click", () => edit("merge", { people: chosen("person") }, again));
on("split", "click", () => edit("split", { people: person(), rows: chosen("row") }, again));
on("rename", "submit", () => edit("rename", { people: person(), to: field("rename") }, again));
on("label", "submit", () => edit("label", { people: person(), to: field("label") }, again));
