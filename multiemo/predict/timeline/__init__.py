"""The timeline of one input as a picture (PNG) and as a page (HTML).

``contents`` holds what an entry of the prediction JSON says over time; ``lanes`` and ``media_lanes`` draw each part of
it once; ``layout`` puts the lanes below each other. They draw on any ``canvas.Canvas``, of which there are two:
``svg_canvas`` and ``raster_canvas``. ``page`` and ``picture`` add what surrounds the lanes in each medium.
"""
