"""A Matplotlib figure, which is kept as its picture."""

from matplotlib.figure import Figure


def make():
    figure = Figure(figsize=(2, 1), dpi=50)
    axes = figure.subplots()
    axes.plot([1, 2, 4])
    axes.set_title("loss")
    return figure


def same(made, got):
    from io import BytesIO

    again = BytesIO()
    made.savefig(again, format="png", metadata={"Software": None})
    assert got == again.getvalue()


def refused():
    return {"its axes": make().axes[0]}
