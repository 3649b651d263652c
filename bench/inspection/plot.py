"""The curves as a picture."""

from collections.abc import Sequence
from pathlib import Path

from bench.inspection.figures import Figures, Series

_COLUMNS = 3
_SHOWN = (0.85, 3.1)


def draw(figures: Sequence[Figures], path: Path) -> None:
    """Write one small panel per shape: cost against the optimum, over the jobs seen before."""
    import matplotlib as mpl  # the tools are of use without it

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "relay", "svg.fonttype": "none", "font.size": 8, "axes.grid": True}
    from matplotlib import pyplot

    rows = -(-len(figures) // _COLUMNS)
    canvas, axes = pyplot.subplots(rows, _COLUMNS, figsize=(10, 2.4 * rows), sharex=True, sharey=True, squeeze=False)
    for shape, panel in zip(figures, axes.flat, strict=False):
        panel.set_title(shape.title, fontsize=8)
        for label, series, style in (
            ("relay, mean of the seeds", shape.ratio, {"color": "tab:blue", "linewidth": 1.6}),
            ("relay, worst seed", shape.worst, {"color": "tab:blue", "linewidth": 0.6}),
            ("fixed 5 s", shape.fixed, {"color": "tab:red", "linestyle": "--", "linewidth": 1}),
            ("best fixed interval", shape.best, {"color": "tab:green", "linestyle": "--", "linewidth": 1}),
            ("back-off 2 s to 30 s", shape.back_off, {"color": "tab:gray", "linestyle": "--", "linewidth": 1}),
        ):
            panel.plot(*_points(series), label=label, **style)
        panel.set(xscale="log", ylim=_SHOWN, xticks=[1, 11, 101, 1001], xticklabels=["0", "10", "100", "1,000"])
        panel.minorticks_off()
    for panel in axes.flat[len(figures) :]:
        panel.set_visible(False)
    canvas.supxlabel("jobs seen before (shifted by one, on a logarithmic scale)")
    canvas.supylabel("cost against the informed optimum")
    canvas.legend(*axes[0][0].get_legend_handles_labels(), loc="upper center", ncols=5, frameon=False)
    canvas.tight_layout(rect=(0, 0, 1, 0.97))
    canvas.savefig(path, metadata={"Date": None})


def _points(series: Series) -> tuple[list[int], list[float]]:
    marks = sorted(series)
    return [mark + 1 for mark in marks], [series[mark] for mark in marks]
