// Choosing, previewing, sending and removing the profile picture.

import { ask, send } from "./api.js";
import { clearErrors, say, showError, whileBusy } from "./page.js";

const TYPES = ["image/png", "image/jpeg", "image/webp", "image/gif"];
// The service's own limit, so that nobody waits for an upload that is bound to be refused.
const MAX_BYTES = 5 * 1024 * 1024;

/**
 * Wires the picture form. `signedIn` runs a request of a member, `take` shows the account that
 * comes back, `fail` shows why there was none.
 */
export function wirePicture(form, { signedIn, take, fail }) {
  const input = form.elements.picture;
  const drop = document.getElementById("drop");
  const preview = document.getElementById("preview");
  const now = drop.querySelector("[data-avatar]");
  const cancel = document.getElementById("cancel");
  const remove = document.getElementById("drop-picture");
  let upload = null;
  // Grows with every choice, so that a slow preview never covers a later one.
  let choice = 0;

  function putBack() {
    choice += 1;
    input.value = "";
    preview.hidden = true;
    now.hidden = false;
    cancel.hidden = true;
    clearErrors(form);
  }

  async function look() {
    clearErrors(form);
    const [file] = input.files;
    if (!file) return putBack();
    const mine = (choice += 1);
    const wrong = checkFile(file);
    if (wrong) return showError(form, "picture", wrong);
    const drawn = await draw(file, preview);
    if (mine !== choice) return;
    preview.hidden = !drawn;
    now.hidden = drawn;
    cancel.hidden = false;
    if (!drawn) showError(form, "picture", "This file cannot be shown. It may be damaged.");
  }

  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(document.getElementById("upload"), "Uploading…", async () => {
      clearErrors(form);
      const [file] = input.files;
      const wrong = file ? checkFile(file) : "Choose a picture first.";
      if (wrong) return showError(form, "picture", wrong);
      input.disabled = true;
      cancel.hidden = false;
      const progress = showProgress();
      try {
        upload = send("PUT", "/api/v1/me/picture", file, progress.at);
        const answer = await signedIn(() => upload.done);
        if (!answer) return say("Upload stopped.");
        putBack();
        take(answer);
        say("Your new picture hangs.");
      } catch (problem) {
        input.disabled = false;
        fail(problem);
      } finally {
        input.disabled = false;
        upload = null;
        progress.end();
      }
    });
  });

  cancel.addEventListener("click", () => {
    if (upload) return upload.stop();
    putBack();
    input.focus();
  });

  remove.addEventListener("click", () =>
    whileBusy(remove, "Removing…", async () => {
      clearErrors(form);
      try {
        take(await signedIn(() => ask("DELETE", "/api/v1/me/picture")));
        input.focus();
        say("Your picture is removed.");
      } catch (problem) {
        fail(problem);
      }
    }));

  input.addEventListener("change", look);
  wireDrop(drop, input, look);
}

function checkFile(file) {
  if (!TYPES.includes(file.type)) return "Pictures can be PNG, JPEG, WebP or GIF.";
  if (file.size > MAX_BYTES) {
    const size = (file.size / 1024 / 1024).toFixed(1);
    return `This file has ${size} MiB. Pictures can have up to 5 MiB.`;
  }
}

// Draws the middle square of the file, as it will be cut. False if it is no picture. A canvas,
// because the page's policy allows images from this site only, not from blob addresses.
async function draw(file, canvas) {
  let image;
  try {
    image = await createImageBitmap(file);
  } catch {
    return false;
  }
  const side = Math.min(image.width, image.height);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side,
    0, 0, canvas.width, canvas.height);
  image.close();
  return true;
}

function showProgress() {
  const box = document.getElementById("progress");
  const bar = document.getElementById("bar");
  const text = document.getElementById("progress-text");
  const at = (part) => {
    const percent = Math.floor(part * 100);
    bar.value = percent;
    text.textContent = part < 1 ? `${percent} % sent` : "Sent. Framing your picture…";
  };
  at(0);
  box.hidden = false;
  return { at, end: () => { box.hidden = true; } };
}

function wireDrop(zone, input, look) {
  // Files only: text that is dragged over the zone is none of our business.
  const brings = (event) => event.dataTransfer.types.includes("Files") && !input.disabled;
  zone.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    zone.classList.remove("over");
    if (!brings(event)) return;
    event.preventDefault();
    input.files = event.dataTransfer.files;
    look();
  });
}
