// The demo page: starts a progress through the service's HTTP interface and shows it beside the user's inbox.

import "./progress.js";
import "./inbox.js";
import { element } from "./live.js";

const form = document.getElementById("start");
const note = document.getElementById("note");
const wished = new URLSearchParams(window.location.search);
for (const name of ["user", "tenant"]) if (wished.get(name)) form.elements[name].value = wished.get(name);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  work().catch((error) => (note.textContent = error.message));
});
for (const name of ["user", "tenant"]) form.elements[name].addEventListener("change", showInbox);
for (const id of wished.getAll("progress")) showProgress(id, id);
showInbox();

function showInbox() {
  const { user, tenant } = values();
  document.getElementById("inbox").replaceChildren(element("millrace-inbox", { "user-id": user, tenant }));
}

function showProgress(id, label) {
  const made = element("millrace-progress", { "progress-id": id, label, tenant: values().tenant });
  document.getElementById("progress").prepend(made);
}

async function work() {
  const id = `demo-${crypto.randomUUID().slice(0, 8)}`;
  const stages = ["upload", "transcribe", "index"];
  await call("/api/progress", { id, stages, user_id: values().user });
  showProgress(id, "Interview.mp3");
  for (const stage of stages) {
    for (let percent = 0; percent <= 100; percent += 2) {
      await call(`/api/progress/${id}`, { progress: percent, stage }, "PATCH");
      await new Promise((done) => setTimeout(done, 60));
    }
  }
  await call(`/api/progress/${id}/complete`, { result: { words: 1_204 } });
  await call("/api/notifications", {
    type: "success",
    title: "Interview.mp3 is ready",
    message: "1,204 words were transcribed.",
    user_id: values().user,
    action_url: `?progress=${id}`,
    action_label: "Show it",
  });
}

async function call(path, body, method = "POST") {
  const answer = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json", "X-Tenant-Id": values().tenant },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.json()).detail ?? answer.statusText);
  return answer.json();
}

function values() {
  return { user: form.elements.user.value, tenant: form.elements.tenant.value };
}
