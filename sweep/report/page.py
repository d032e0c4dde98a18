"""The page: studies one below another, each with its sections."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files

from sweep.report.element import Markup, element, join
from sweep.report.section.comparison import comparison
from sweep.report.section.coordinates import coordinates
from sweep.report.section.curve import curves
from sweep.report.section.failure import failures
from sweep.report.section.importance import importance
from sweep.report.section.progress import progress
from sweep.report.section.reproduction import reproduction, spec, versions
from sweep.report.section.slice import slices
from sweep.report.section.storage import storage
from sweep.report.section.summary import summary, trials
from sweep.report.section.timeline import timeline
from sweep.report.subject import Subject

SECTIONS: Mapping[str, tuple[str, Callable[[Subject], Markup]]] = {
    "summary": ("Summary", summary),
    "progress": ("Progress", progress),
    "trials": ("Trials", trials),
    "curves": ("Learning curves", curves),
    "coordinates": ("Parallel coordinates", coordinates),
    "slices": ("Slices", slices),
    "importance": ("Importances", importance),
    "timeline": ("Timeline", timeline),
    "storage": ("Checkpoints", storage),
    "failures": ("Failures", failures),
    "spec": ("Spec", spec),
    "versions": ("Sessions and versions", versions),
    "reproduction": ("How to reproduce it", reproduction),
}
"""By the name that a link has."""


def page(subjects: Sequence[Subject], *, home: str | None = None) -> str:
    """A document of HTML that loads nothing: styles, script and drawings are in it.

    ``home`` is where all studies are listed, for a page that a server gives.
    """
    names = ", ".join(subject.name for subject in subjects)
    said: list[Markup | str] = [f"sweep report, {moment()}"]
    if home is not None:
        said = [element("a", "All studies", href=home), " · ", *said]
    articles = [_article(subject, place) for place, subject in enumerate(subjects)]
    content = [comparison(subjects), *articles]
    return document(f"{names} - sweep report", join(said), content)


def moment() -> str:
    """Now, as a page says when it was made."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def document(title: str, said: Markup | str, content: Iterable[Markup]) -> str:
    """A page in the style of the report; ``said`` stands above its ``content``."""
    style, script = _resource("page.css"), _resource("page.js")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("title", title),
        element("style", style),
    )
    header = element(
        "header",
        element("p", said),
        element("button", "Dark theme", type="button", id="theme", hidden="hidden"),
    )
    body = element(
        "body",
        element("a", "Skip to the content", class_="skip", href="#content"),
        header,
        element("main", *content, id="content"),
        element("div", id="tip", aria_hidden="true"),
        element("script", script),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _policy(script: str) -> str:
    """What a browser may load: nothing, but the styles and the one script of the page."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _article(subject: Subject, place: int) -> Markup:
    prefix = "" if place == 0 else f"{place + 1}-"
    links = [
        element("li", element("a", title, href=f"#{prefix}{name}"))
        for name, (title, _) in SECTIONS.items()
    ]
    sections = [
        element(
            "section",
            element("h2", title, id=f"{prefix}{name}-title"),
            make(subject),
            id=f"{prefix}{name}",
            aria_labelledby=f"{prefix}{name}-title",
        )
        for name, (title, make) in SECTIONS.items()
    ]
    nav = element("nav", element("ul", *links), aria_label=f"Sections of {subject.name}")
    return element("article", element("h1", subject.name), nav, join(sections))


def _resource(name: str) -> Markup:
    return Markup((files("sweep.report") / name).read_text(encoding="utf-8"))
