"""The timeline of one input as a picture (PNG) and as a page (HTML).

``contents`` arranges an entry of the prediction JSON over time. ``lanes`` and ``media_lanes`` draw its parts, and
``layout`` stacks the lanes. They draw on any ``canvas.Canvas``; there are two, ``svg_canvas`` and ``raster_canvas``.
``page`` and ``picture`` add the title, the legend and the names of the lanes in each medium.
"""
