"use strict";
const form = document.querySelector(".filters");
if (form) {
  const benchmark = document.getElementById("pick-benchmark");
  const kind = document.getElementById("pick-kind");
  const cards = [...document.querySelectorAll(".card")];
  const pick = () => {
    for (const card of cards) {
      card.hidden = (benchmark.value !== "" && card.dataset.benchmark !== benchmark.value)
        || (kind.value !== "" && card.dataset.kind !== kind.value);
    }
    document.getElementById("picked").value = `${cards.filter((card) => !card.hidden).length} samples`;
  };
  form.hidden = false;
  form.addEventListener("change", pick);
  form.addEventListener("submit", (event) => event.preventDefault());
  pick();
}
