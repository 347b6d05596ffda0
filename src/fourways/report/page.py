"""report.html: one file that needs nothing else. Written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fourways import figures
from fourways.core.candidate import Candidate
from fourways.core.figure import AXES, Figure
from fourways.core.run import RunHeader
from fourways.core.run_files import REPORT_FILE, ROWS_FILE, read_header, read_rows, read_summary, write_whole
from fourways.report import (
    accuracy,
    budget,
    calibration,
    figures_shown,
    gallery,
    latency,
    load,
    memory,
    pairs,
    provenance,
    published,
    result,
    training,
    unread,
    yes_no,
)
from fourways.report.accuracy import every
from fourways.report.choice import choose, choose_unread
from fourways.report.facts import collect
from fourways.report.gathered import gather
from fourways.report.markup import Html, join, tag
from fourways.report.material import Material
from fourways.report.pictures import Pictures
from fourways.report.plot import legend
from fourways.report.required import required
from fourways.report.tables import anchor

_FOUR_AXES = (
    "Where a candidate lies between the worst and the best value or interval end of this run. "
    "Pale marks are the other candidates."
)
_CELLS = "Each cell: the value, its 95 % interval, and how many independent units it rests on."
_OF_A_SEARCH = (
    "Each cell: the greatest load that was confirmed to meet the SLO; its bracket, up to the least load above it that "
    "was seen to miss, which is no confidence interval; and how many probes it took."
)
_AXES_SAID = {1: "one way", 2: "two ways", 3: "three ways", 4: "four ways"}


@dataclass(frozen=True, slots=True)
class Section:
    """id: its place in the page. body None: there is nothing to say, the section is left out."""

    id: str
    title: str
    body: Html | None


def write_report(run: Path, *, images: Callable[[str], bytes | None], include_images: bool = True) -> Path:
    """Writes report.html into a run folder from its run.json, rows.jsonl and summary.json, and says where it is.

    images: source_sha256 → the file's bytes, or None if it is not at hand; never called if include_images is False.
    Raises UserError if the folder holds no run, FourwaysError if the page cannot be written.
    """
    header, summary = read_header(run), read_summary(run)
    facts = collect(read_rows(run / ROWS_FILE))
    chosen, apart = choose(facts.answers), choose_unread(facts.answers)
    gathered = gather(read_rows(run / ROWS_FILE), chosen, apart)
    names = result.names_of(summary, [record.candidate.name for record in header.candidates])
    pictures = Pictures(images if include_images else None)
    target = run / REPORT_FILE
    material = Material(header, summary.figures, facts, gathered, names, pictures)
    write_whole(target, page(header, load.title(material) or _headline(header), _sections(material)).encode())
    return target


def page(header: RunHeader, title: str, sections: Sequence[Section]) -> str:
    """The whole document of a run."""
    foot = (
        f"Run {header.run_id}. Made by Fourways {header.source.version} from run.json, rows.jsonl and "
        "summary.json; every figure can be computed again from the rows."
    )
    return document(title, _lead(header), provenance.caveats(header), sections, foot)


def document(title: str, lead: str, caveats: Html | None, sections: Sequence[Section], foot: str) -> str:
    """A page of its own: lead below the title, then sections, each with a link at the top."""
    style, script = _asset("page.css"), _asset("page.js")
    shown = [s for s in sections if s.body is not None]
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        Html(f"<style>{style}</style>"),
    )
    top = tag(
        "header",
        tag("p", "Fourways", class_="brand"),
        tag("h1", title),
        tag("p", lead, class_="lead"),
        caveats,
    )
    links = tag(
        "nav",
        tag("ol", *(tag("li", tag("a", s.title, href=f"#{s.id}")) for s in shown)),
        id="sections",
        aria_label="Sections",
    )
    back = tag("a", "Sections", href="#sections", class_="back")
    main = tag("main", *(tag("section", tag("h2", s.title), s.body, id=s.id) for s in shown))
    script_at_end = Html(f"<script>{script}</script>")
    body = tag("body", top, links, main, tag("footer", foot), back, script_at_end)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(m: Material) -> list[Section]:
    return [
        Section("result", "Result", _result(m)),
        Section("accuracy", "Accuracy", accuracy.section(m)),
        Section("pairs", "Who is ahead of whom", pairs.section(m)),
        Section(
            "published",
            "Published beside measured",
            published.section(m),
        ),
        Section("yes-no", "Yes/no bias", yes_no.section(m)),
        Section("calibration", "Calibration", calibration.section(m)),
        Section("budget", "Accuracy against visual budget", budget.section(m)),
        Section("load", "Under load", load.section(m)),
        Section("latency", "Latency", latency.section(m)),
        Section("memory", "Memory", memory.section(m)),
        Section("tuning", "Tuning", _tuning(m)),
        Section("gallery", gallery.title(m.names), gallery.section(m)),
        Section("unread", "Unparsed replies", unread.section(m)),
        Section("failures", "What did not work", provenance.failures(m)),
        Section("ran", "What ran on what", provenance.what_ran(m.header)),
        Section("definitions", "Definitions", definitions(m.figures)),
    ]


def _result(m: Material) -> Html:
    cells = result.headlines(m.figures)
    axes = [axis for axis in AXES if axis in m.header.axes]
    what = {r.candidate.name: _what(r.candidate) for r in m.header.candidates}
    return join(
        [
            tag("p", _OF_A_SEARCH if m.facts.probes else _CELLS),
            result.result_table(m.names, axes, cells, figures.TEXTS, what, figures.conditions(m.figures)),
            *(tag("p", line, class_="muted") for line in result.growth(m.figures)),
            required(m),
            *(_pictures(m.names, cells) if len(axes) > 1 else []),
            *(_standing(m, cells) if len(m.names) > 1 and len(axes) > 1 else []),
        ]
    )


def _pictures(names: Sequence[str], cells: result.Headlines) -> list[Html]:
    if len(names) < 2 or not any(figure.status == "ok" for figure in cells.values()):
        return []
    title = tag("h3", "The axes, one picture a candidate")
    return [title, tag("p", _FOUR_AXES), result.four_axis_pictures(names, cells)]


def _standing(m: Material, cells: result.Headlines) -> list[Html]:
    return [tag("h3", "Accuracy against latency"), result.pareto(m.names, cells, figures.pareto(m.figures))]


def _tuning(m: Material) -> Html | None:
    found, facts, names = m.of_axis("tuning"), m.facts, m.names
    if not found:
        return None
    return join(
        [
            legend(names) if facts.training or figures_shown.has_change(found) else None,
            figures_shown.before_after(found, names, figures.TEXTS),
            tag("h3", "Training loss"),
            training.losses(facts.training, names),
            tag("h3", "Gradient norms before clipping"),
            tag("p", "The median over the adapted modules, with the band from the least to the greatest."),
            training.gradient_norms(facts.training, names),
            every("tuning", found, names),
        ]
    )


def definitions(found: Sequence[Figure]) -> Html:
    """What each of these figures is, in words, where a tap on its name leads."""
    units: dict[str, set[str]] = {}
    for f in found:
        units.setdefault(f.definition, set()).add(f.unit or "no unit")
    parts = []
    for definition in sorted(units):
        text = figures.TEXTS.get(definition, "This version of Fourways does not know its words.")
        parts.append(tag("dt", tag("code", definition), id=anchor(definition)))
        parts.append(tag("dd", text, tag("span", f" Unit: {', '.join(sorted(units[definition]))}.", class_="muted")))
    return tag("dl", *parts)


def _headline(header: RunHeader) -> str:
    names = [record.candidate.name for record in header.candidates]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return (
        f"{listed}, {'measured' if len(names) == 1 else 'compared'} in {_AXES_SAID.get(len(header.axes), 'four ways')}"
    )


def _lead(header: RunHeader) -> str:
    e = header.environment
    where = ", ".join(e.accelerators) or f"{e.cpu}, {e.cores} cores"
    return f"{header.started.replace('T', ' ').replace('+00:00', ' UTC')} · {where} · seed {header.seed}"


def _what(candidate: Candidate) -> str:
    if candidate.url is not None:
        return candidate.url
    parts = [candidate.model, candidate.dtype, candidate.quantization, candidate.device]
    return ", ".join(part for part in parts if part and part != candidate.name)


def _asset(name: str) -> str:
    return resources.files("fourways.report").joinpath(name).read_text("utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
