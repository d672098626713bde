"use strict";

// Sliders: one frame of a stage at a time, by hand or played.
for (const figure of document.querySelectorAll(".slider")) {
  const frames = [...figure.querySelectorAll(".frame")];
  const range = figure.querySelector("input");
  const play = figure.querySelector(".play");
  const now = figure.querySelector(".now");
  if (frames.length < 2) continue;
  figure.querySelector(".controls").hidden = false;
  let timer = 0;

  const show = (i) => {
    frames.forEach((frame, k) => { frame.style.display = k === i ? "" : "none"; });
    const words = Number(frames[i].dataset.images).toLocaleString("en") + " images";
    range.value = i;
    range.setAttribute("aria-valuetext", words);
    now.textContent = words;
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
  };
  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    let i = Number(range.value) === frames.length - 1 ? 0 : Number(range.value);
    show(i);
    timer = setInterval(() => {
      i += 1;
      show(i);
      if (i === frames.length - 1) stop();
    }, 350);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
  });
  show(frames.length - 1);
}

// The morph can be stopped: a canvas with the frame of that moment takes its place.
for (const figure of document.querySelectorAll(".walk")) {
  const image = figure.querySelector(".morph");
  const button = figure.querySelector(".still");
  let still = null;
  const toggle = () => {
    if (still) {
      still.replaceWith(image);
      still = null;
      button.textContent = "Stop";
      return;
    }
    still = document.createElement("img");
    still.alt = image.alt;
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    still.src = canvas.toDataURL();
    image.replaceWith(still);
    button.textContent = "Play";
  };
  button.hidden = false;
  button.addEventListener("click", toggle);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) image.decode().then(toggle, () => {});
}

// Copy buttons; the text is selected where there is no clipboard.
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const text = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      getSelection().selectAllChildren(text);
    }
  });
}
