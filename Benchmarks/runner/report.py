"""Tables of what was measured, and the part of RESULTS.md that they are."""

from statistics import median

from runner.proxies import RELAY, SLUICE

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def good_samples(samples, work, name):
    """The samples of one work and one proxy without a fault, by their rounds."""
    return {sample.round: sample for sample in samples
            if (sample.work, sample.proxy) == (work.key, name) and not sample.fault}


def ratio(ours, theirs, value):
    """The median of the rounds' ratios, with the lowest and the highest of them."""
    found = sorted(value(ours[turn]) / value(theirs[turn])
                   for turn in ours if turn in theirs and value(theirs[turn]))
    if not found:
        return "–"
    spread = f" ({found[0]:.2f}–{found[-1]:.2f})" if len(found) > 1 else ""
    return f"{median(found):.2f}{spread}"


class Figures:
    """All samples, by work and proxy."""

    def __init__(self, works, names, samples):
        self.works = works
        self.names = names
        self.samples = samples

    def good(self, work, name):
        """The samples without a fault, by their rounds."""
        return good_samples(self.samples, work, name)

    def median(self, work, name, value):
        """The median of what `value` gives for each round; None where there is none."""
        samples = self.good(work, name).values()
        return median(value(sample) for sample in samples) if samples else None

    def ratios(self, work, name, other):
        """CPU of one proxy relative to another, of each round in which both took part."""
        ours, theirs = self.good(work, name), self.good(work, other)
        return sorted(ours[number].cpu / theirs[number].cpu
                      for number in ours if number in theirs and theirs[number].cpu)

    @property
    def base(self):
        """What the others are compared with in the chart."""
        return RELAY if RELAY in self.names else self.names[0]


def document(figures, facts):
    """The generated part, without its markers."""
    moving = [work for work in figures.works if not work.is_idle]
    idle = [work for work in figures.works if work.is_idle]
    parts = [_facts(facts)]
    if moving:
        parts += [_cpu(figures, moving), _ratios(figures, moving), _rates(figures, moving),
                  _latencies(figures, moving)]
    if idle:
        parts.append(_memory(figures, idle))
    parts.append(_faults(figures))
    return "\n\n".join(part for part in parts if part)


def _facts(facts):
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    machine = facts["machine"]
    lines = [
        f"Measured on {facts['date']} by `{facts['command']}`. Rounds for each row, in which the"
        f" proxies took turns: {facts['rounds']}, of {facts['seconds']:g} s.", "",
        f"- Machine: {machine['cpu']}; {machine['memory']}; Linux {machine['kernel']};"
        f" {machine['system']}", f"- Programs: {versions}",
        f"- Each proxy has one thread on CPU {facts['proxy_cpu']}; load and backend run on"
        f" CPU {facts['load_cpu']}",
        f"- Noise: other processes took {facts['others_median']:.1%} of a core in the median run,"
        f" {facts['others_max']:.0%} in the worst; the host took {facts['stolen_max']:.1%} at most",
    ]
    if facts["left_out"]:
        lines.append(f"- Left out: {'; '.join(facts['left_out'])}")
    if facts["chart"]:
        lines += ["", f"![CPU of each proxy relative to the bare relay]({facts['chart']})"]
    return "\n".join(lines)


def _table(title, note, figures, works, cell, names=None):
    names = names or figures.names
    lines = [f"### {title}", "", note, "", "| work | " + " | ".join(names) + " |",
             "|---|" + "---:|" * len(names)]
    for work in works:
        cells = [cell(work, name) for name in names]
        lines.append(f"| {work.label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number(value, unit=""):
    """A figure with about three digits; a dash where there is none."""
    if value is None:
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{unit}"


def _cpu(figures, works):
    def cell(work, name):
        return number(figures.median(work, name, lambda sample: sample.cpu))
    return _table(
        "CPU", "The proxy's own CPU time, in µs for each round trip, message or connection.",
        figures, works, cell)


def _ratios(figures, works):
    others = [name for name in figures.names if name != SLUICE]
    if SLUICE not in figures.names or not others:
        return ""

    def cell(work, name):
        ratios = figures.ratios(work, SLUICE, name)
        if not ratios:
            return "–"
        spread = f" ({ratios[0]:.2f}–{ratios[-1]:.2f})" if len(ratios) > 1 else ""
        return f"{median(ratios):.2f}{spread}"
    return _table(
        "Sluice's CPU relative to the others",
        "Below 1, Sluice needs less. The median of the rounds' ratios, and the lowest and highest"
        " of them: where these lie on both sides of 1, the two cannot be told apart.",
        figures, works, cell, others)


def _rates(figures, works):
    def cell(work, name):
        return number(figures.median(work, name, lambda sample: sample.rate))
    return _table(
        "Rate", "Round trips, messages or connections a second. Load and backend share a core, so"
        " that a proxy that needs little CPU waits for them: CPU is the better measure.",
        figures, [work for work in works if not work.is_paced], cell)


def _latencies(figures, works):
    def cell(work, name):
        middle = figures.median(work, name, lambda sample: sample.latency.get("p50", 0))
        tail = figures.median(work, name, lambda sample: sample.latency.get("p99", 0))
        return f"{number(middle)} / {number(tail)}"
    works = [work for work in works if work.has_latency]
    if not works:
        return ""
    return _table(
        "Latency", "p50 / p99 in µs, corrected for coordinated omission. The open loop is the one"
        " to look at (10,000 a second): elsewhere each connection waits in line behind all others.",
        figures, works, cell)


def _memory(figures, works):
    def cell(work, name):
        return number(figures.median(work, name, lambda sample: sample.memory / 1024))
    return _table(
        "Memory", "KB by which the process grows for each idle tunnel (proportional set size"
        " without pages of files; the kernel's socket buffers are not in it).",
        figures, works, cell)


def _faults(figures):
    faults = [sample for sample in figures.samples if sample.fault]
    lines = [f"- {sample.work}, {sample.proxy}, round {sample.round}: {sample.fault}"
             for sample in faults]
    return "\n".join(["### Failed runs, which are in no median", "", *lines]) if lines else ""


def insert(path, text):
    """Puts the generated part between its markers, or at the end where there are none."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    part = f"{BEGIN}\n{text}\n{END}"
    if BEGIN in old and END in old:
        head, rest = old.split(BEGIN, 1)
        new = head + part + rest.split(END, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{part}\n".lstrip()
    path.write_text(new, encoding="utf-8")
