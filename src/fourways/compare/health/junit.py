"""The check as JUnit XML, which continuous integration shows: a suite a model, a case a probe.

broken and unanswered are failures; suspect and slow pass, with what was found under system-out, as servers of
continuous integration have no word for a warning; what was not made is skipped.
"""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from fourways.core.health import Health, ModelHealth, Probe
from fourways.core.plain_text import clean

_NOT_MADE = frozenset({"no access", "not claimed", "not run"})


def junit(health: Health) -> str:
    """The document. Names and messages may hold what XML may not: control characters are written out."""
    root = Xml.Element("testsuites", name="fourways models check")
    for model in health.models:
        root.append(_suite(model, health.checked))
    _count(root, [probe for model in health.models for probe in model.probes])
    del root.attrib["skipped"]  # which the schemas in use allow of a suite only
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(model: ModelHealth, checked: str) -> Xml.Element:
    suite = Xml.Element("testsuite", name=_text(model.name), timestamp=checked.removesuffix("+00:00"))
    properties = Xml.SubElement(suite, "properties")
    for name, value in (("target", model.target), ("engine", model.engine), ("verdict", model.verdict)):
        Xml.SubElement(properties, "property", name=name, value=_text(value))
    for probe in model.probes:
        suite.append(_case(model, probe))
    _count(suite, list(model.probes))
    return suite


def _case(model: ModelHealth, probe: Probe) -> Xml.Element:
    case = Xml.Element("testcase", classname=_text(model.name), name=_text(probe.name), time=_seconds([probe]))
    grave = [found for found in probe.findings if found.grade in ("broken", "unanswered")]
    light = [found for found in probe.findings if found not in grave]
    if grave:
        failure = Xml.SubElement(case, "failure", type=grave[0].code, message=_text(grave[0].message))
        failure.text = _text("\n".join(f"{one.code}: {one.message}\nhint: {one.hint}" for one in grave))
    elif probe.status in _NOT_MADE:
        Xml.SubElement(case, "skipped", message=_text(f"{probe.status}: {probe.detail}"))
    said = [probe.detail, *(f"{one.grade}: {one.code}: {one.message}" for one in light)]
    Xml.SubElement(case, "system-out").text = _text("\n".join(said))
    return case


def _count(element: Xml.Element, probes: list[Probe]) -> None:
    element.set("tests", str(len(probes)))
    element.set("failures", str(sum(probe.status in ("broken", "unanswered") for probe in probes)))
    element.set("errors", "0")
    element.set("skipped", str(sum(probe.status in _NOT_MADE for probe in probes)))
    element.set("time", _seconds(probes))


def _seconds(probes: list[Probe]) -> str:
    return f"{sum(probe.ms or 0.0 for probe in probes) / 1000:.3f}"


def _text(text: str) -> str:
    """Without what no XML document may hold, which `clean` does not touch: two code points of the first plane."""
    return clean(text).replace("\ufffe", "[U+FFFE]").replace("\uffff", "[U+FFFF]")
