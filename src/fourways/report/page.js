"use strict";
const form = document.getElementById("filters");
if (form) {
  const PAGE = 24;
  const fields = form.elements;
  const more = document.getElementById("more");
  const cards = [...document.querySelectorAll(".card")].map((card) => ({
    card, said: card.dataset.said, of: card.dataset, words: card.textContent.toLowerCase(),
  }));
  let most = PAGE;

  const is = (said, at, state) => {
    const alone = state.startsWith("only-");
    const letters = alone ? state.slice(5) : state;
    return letters.includes(said[at]) && !(alone && [...said].some((s, i) => i !== at && letters.includes(s)));
  };
  const meets = ({ said, of, words }) => {
    const value = (name) => (fields[name] ? fields[name].value : "");
    return (!value("benchmark") || of.benchmark === value("benchmark"))
      && (!value("category") || of.category === value("category"))
      && (!value("kind") || of.kind.split(" ").includes(value("kind")))
      && ["first", "second"].every((who) => !value(who) || is(said, Number(value(who)), value(`${who}-is`)))
      && value("words").toLowerCase().split(/\s+/).every((word) => words.includes(word));
  };
  const show = () => {
    let found = 0;
    for (const one of cards) {
      const met = meets(one);
      found += met;
      one.card.hidden = !met || found > most;
    }
    fields.picked.value = `${found} of ${cards.length} samples`;
    more.parentElement.hidden = found <= most;
  };
  const categories = () => {
    const { benchmark, category } = fields;
    if (!category) return;
    for (const option of category.options) {
      option.hidden = option.disabled = Boolean(benchmark.value && option.value && option.dataset.of !== benchmark.value);
    }
    if (category.selectedOptions[0]?.disabled) category.value = "";
  };
  const again = () => {
    most = PAGE;
    categories();
    show();
  };

  form.addEventListener("input", again);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(again));
  more.addEventListener("click", () => {
    const next = cards.filter(meets)[most];
    most += PAGE;
    show();
    next.card.tabIndex = -1;
    next.card.focus({ preventScroll: true });
  });
  for (const link of document.querySelectorAll("a[data-first]")) {
    link.addEventListener("click", () => {
      form.reset();
      fields.first.value = link.dataset.first;
      fields["first-is"].value = "r";
      fields.second.value = link.dataset.second;
      fields["second-is"].value = "wuf";
      again();
    });
  }
  form.hidden = false;
  again();
}
