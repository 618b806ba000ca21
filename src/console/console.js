// Swaps what changes for what the server says now. Without this file the page loads anew by itself.
"use strict";

const EVERY_MS = 1000;

async function refresh() {
  if (!document.hidden) {
    let gone = true;
    try {
      const answer = await fetch("/", { headers: { Accept: "text/html" } });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live]")) {
          const other = fresh.getElementById(part.id);
          if (other) part.replaceWith(document.adoptNode(other));
        }
        gone = false;
      }
    } catch {
      // The service has ended or is out of reach: said below.
    }
    document.getElementById("gone").hidden = !gone;
  }
  setTimeout(refresh, EVERY_MS);
}

// A button begins its attack without leaving the page.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await fetch(form.action, { method: "POST", headers: { Accept: "application/json" } }).catch(() => {});
  });
}

setTimeout(refresh, EVERY_MS);
