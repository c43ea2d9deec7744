"""A Plotly figure."""

import plotly.graph_objects as go


def make():
    return go.Figure(go.Scatter(x=[1, 2], y=[3, None], name="ä"), layout={"title": {"text": "loss"}})


def others():
    return {"an empty one": go.Figure()}
