"""An evaluation as one HTML file to look at, with nothing loaded from elsewhere."""

from collections.abc import Callable, Sequence
from html import escape

from runllm.bridge.messages import Source
from runllm.evaluation.cases import Case
from runllm.evaluation.offline import Result
from runllm.evaluation.scoring import Figures, shortfalls, verdicts

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #c62828; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.same { background: var(--soft); font-weight: 600; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
.sides { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
.side { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; }
.side h4 { margin: 0 0 .4rem; }
pre { font: inherit; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.quiet { opacity: .7; font-size: .9em; }
"""

_FACTS: dict[str, Callable[[Figures], str]] = {
    "model, median s": lambda f: f"{f.seconds_median:.2f}",
    "model, p95 s": lambda f: f"{f.seconds_p95:.2f}",
    "tokens in, out": lambda f: f"{f.input_tokens:,}, {f.output_tokens:,}",
    "cost, $": lambda f: f"{f.cost:.4f}",
}


def page(
    title: str, cases: Sequence[Case], sides: Sequence[tuple[str, Sequence[Result], Figures]], worse: Sequence[str]
) -> str:
    """The whole page. `sides` are the versions that were compared, ours first."""
    body = [f"<h1>{escape(title)}</h1>", _summary(sides)]
    if len(sides) > 1:
        body.append(f"<p>{_worse(worse, sides[1][0])}</p>")
    body += [f"<h2>Categories: {escape(name)}</h2>{_confusion(figures)}" for name, _, figures in sides]
    body.append("<h2>Cases</h2>")
    body += [
        _case(case, [(name, results[number]) for name, results, _ in sides], case.id in worse)
        for number, case in enumerate(cases)
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _summary(sides: Sequence[tuple[str, Sequence[Result], Figures]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name, _, _ in sides)
    rows = []
    for criterion in sides[0][2].shares:
        shares = [figures.shares[criterion] for _, _, figures in sides if criterion in figures.shares]
        cells = "".join(f'<td class="number">{share.value:.0%} ({share.met} of {share.of})</td>' for share in shares)
        rows.append(f"<tr><th>{escape(criterion)}</th>{cells}</tr>")
    for name, form in _FACTS.items():
        cells = "".join(f'<td class="number">{form(figures)}</td>' for _, _, figures in sides)
        rows.append(f"<tr><th>{name}</th>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _confusion(figures: Figures) -> str:
    if not figures.confusion:
        return "<p class=quiet>No case says which category to expect.</p>"
    actual = sorted({name for counts in figures.confusion.values() for name in counts})
    head = "".join(f"<th>{escape(name)}</th>" for name in actual)
    rows = []
    for expected, counts in sorted(figures.confusion.items()):
        cells = "".join(
            f'<td class="number{" same" if name == expected else ""}">{counts.get(name, 0) or ""}</td>'
            for name in actual
        )
        rows.append(f"<tr><th>{escape(expected)}</th>{cells}</tr>")
    return f"<table><tr><th>expected ↓ actual →</th>{head}</tr>{''.join(rows)}</table>"


def _case(case: Case, sides: Sequence[tuple[str, Result]], is_worse: bool) -> str:
    met = [all(verdicts(case, result).values()) for _, result in sides]
    mark = '<span class="good">✓</span>' if met[0] else '<span class="bad">✗</span>'
    more = ' <span class="bad">worse than before</span>' if is_worse else ""
    shown = [_side(name, case, result) for name, result in sides]
    if case.was:
        rated = f" <span class=quiet>({escape(case.rated)})</span>" if case.rated else ""
        shown.append(f'<div class="side"><h4>at the time{rated}</h4><pre>{escape(case.was)}</pre></div>')
    before = "".join(f"<p class=quiet><b>{message.author}</b> {escape(message.text)}</p>" for message in case.said[:-1])
    opened = "" if met[0] and not is_worse else " open"
    return (
        f"<details{opened}><summary>{mark} {escape(case.id)}: {escape(case.asked[:200])}{more}</summary>"
        f'{before}<p>{escape(case.asked)}</p><div class="sides">{"".join(shown)}</div></details>'
    )


def _side(name: str, case: Case, result: Result) -> str:
    judged = " ".join(
        f'<span class="{"good" if met else "bad"}">{"✓" if met else "✗"} {criterion}</span>'
        for criterion, met in verdicts(case, result).items()
    )
    facts = [result.category.value if result.category else "no answer", f"{result.seconds:.2f} s"]
    facts += [f"tags: {', '.join(result.tags)}"] if result.tags else []
    facts += [f"waits for: {', '.join(result.waits_for)}"] if result.waits_for else []
    sources = "".join(f"<li>{_source(source)}</li>" for source in result.sources)
    missed = "".join(f'<p class="bad">{escape(phrase)}</p>' for phrase in shortfalls(case, result))
    text = "\n\n".join(result.sent) or result.answer
    return (
        f'<div class="side"><h4>{escape(name)}</h4><p>{judged}</p>{missed}<pre>{escape(text)}</pre>'
        f"<p class=quiet>{escape(' · '.join(facts))}</p>{f'<ul class=quiet>{sources}</ul>' if sources else ''}</div>"
    )


def _source(source: Source) -> str:
    title = escape(source.title)
    if source.url and source.url.startswith(("http://", "https://")):
        return f'<a href="{escape(source.url, quote=True)}">{title}</a>'
    return title


def _worse(worse: Sequence[str], against: str) -> str:
    if not worse:
        return f"No case is worse than with {escape(against)}."
    return f"Worse than with {escape(against)}: {escape(', '.join(worse))}."
